"""`relay policy check | explain | show | set | replay`: who has to approve what."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click
import msgspec

from gateway.approvals.policy import Policy, Requirement
from gateway.approvals.policy_file import PolicyRefused, StatedFacts
from gateway.cli.admin.session import CLI, ask
from gateway.cli.audit.progress import progress
from gateway.cli.options import Instant

if TYPE_CHECKING:
    from gateway.admin.services import Services
    from gateway.approvals.policy_admin import PolicyAdmin
    from gateway.cli.policy.replay import Replayed
    from stores.sql.policies import PolicyRow

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
WORKSPACE = click.option("--workspace", default="default", show_default=True)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


@click.group()
def policy() -> None:
    """Write and try the rules that say which previews need an approval."""


@policy.command()
@click.argument("file", type=FILE)
def check(file: Path) -> None:
    """Check the policy in FILE and run its own tests.

    Exit status 1 if it cannot be used.
    """
    checked = _policy(file)
    click.echo(f"{file}: {len(checked.rules)} rules, {checked.tests} tests pass, {checked.digest}")
    if not checked.tests:
        click.echo("Warning: the policy has no tests of its own.", err=True)


@policy.command()
@click.argument("file", type=FILE)
@click.option("--action", required=True, help="Such as webhook.save.")
@click.option("--method", default="POST", show_default=True)
@click.option("--url", required=True, help="The URL of the request.")
@click.option("--role", default="operator", show_default=True, help="The role of the requester.")
@click.option("--requester", default="requester", show_default=True, help="Its subject.")
@click.option("--kind", type=click.Choice(["live", "test"]), default="live", show_default=True)
@click.option("--body-bytes", type=click.IntRange(0), default=0, show_default=True)
@click.option("--account", default="", help="As whom it is sent, if it has a connection.")
@click.option("--warned", is_flag=True, help="The preview has warnings.")
@AS_JSON
def explain(file: Path, as_json: bool, **given: object) -> None:
    """Say what the policy in FILE asks of a preview, and which rules match."""
    explained = _policy(file)
    try:
        facts = msgspec.convert(given, StatedFacts)
    except msgspec.ValidationError as error:
        raise click.UsageError(str(error)) from error
    asked = explained.requirement(facts)
    matching = [explained.rules[number] for number in explained.matching(facts)]
    if as_json:
        click.echo(json.dumps({"rules": matching, **msgspec.to_builtins(asked)}, indent=2))
        return
    click.echo(f"Rules that match: {', '.join(matching) or 'none; the default decides'}.")
    click.echo(_asked(asked))


@policy.command()
@WORKSPACE
@AS_JSON
def show(workspace: str, as_json: bool) -> None:
    """Print the policy of a workspace."""
    row = ask(lambda services: _admin(services).read(workspace))
    if as_json:
        click.echo(json.dumps(row._asdict() if row else {"version": 0, "text": ""}, indent=2))
    elif row is None or not row.text:
        click.echo(f"The workspace {workspace} has no policy.", err=True)
    else:
        click.echo(f"Version {row.version}, {row.digest}, by {row.created_by}", err=True)
        click.echo(row.text, nl=False)


@policy.command(name="set")
@click.argument("file", type=click.File("rb"))
@WORKSPACE
@click.option("--version", type=int, help="Fail if the newest version is another; 0 for none.")
def set_(file: BinaryIO, workspace: str, version: int | None) -> None:
    """Put the policy in FILE (- for stdin) in force; an empty file removes it."""
    name = getattr(file, "name", "<stdin>")
    text = _text(file.read(), name)
    _parsed(text, name)

    async def change(services: "Services") -> "PolicyRow":
        admin = _admin(services)
        seen = version
        if seen is None:
            before = await admin.read(workspace)
            seen = before.version if before else 0
        return await admin.change(workspace, text, version=seen, actor=CLI)

    row = ask(change)
    click.echo(f"Workspace {workspace}: version {row.version}, {row.digest or 'no policy'}.")


@policy.command()
@click.argument("file", type=FILE)
@WORKSPACE
@click.option("--since", type=Instant(), default="7d", show_default=True, help="Runs since then.")
@AS_JSON
def replay(file: Path, workspace: str, since: int, as_json: bool) -> None:
    """Count the recorded runs about which the policy in FILE would have asked.

    The audit keeps no paths and no sizes of bodies: a rule that looks at those may or may not
    match, and its runs count as possible.
    """
    text = _policy(file).text
    counted = ask(lambda services: _replayed(services, workspace, text, since))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(counted), indent=2))
        return
    click.echo(
        f"{counted.runs} runs: {counted.allowed} allowed, {counted.asked} asked about, "
        f"{counted.denied} denied, {counted.possible} possibly asked about or denied."
    )
    for rule, count in counted.rules.items():
        click.echo(f"  {rule}: {count}")


async def _replayed(services: "Services", workspace: str, text: str, since_ms: int) -> "Replayed":
    from gateway.cli.policy.replay import replayed, selected

    database = services.transactions.database
    length = await selected(database, workspace, since_ms=since_ms)
    with progress(length, "Replaying") as bar:
        return await replayed(database, workspace, text, since_ms=since_ms, progress=bar.update)


def _admin(services: "Services") -> "PolicyAdmin":
    from gateway.approvals.policy_admin import PolicyAdmin

    return PolicyAdmin(services.transactions)


def _policy(file: Path) -> Policy:
    return _parsed(_text(file.read_bytes(), file), file)


def _text(data: bytes, file: Path | str) -> str:
    """The very text, so that its digest is that of the file."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file} is not UTF-8: {error}") from error


def _parsed(text: str, file: Path | str) -> Policy:
    try:
        return Policy(text)
    except PolicyRefused as refused:
        places = [f"\n  {it.pointer}: {it.detail}" for it in refused.errors]
        raise click.ClickException(f"{file}: {refused}{''.join(places)}") from refused


def _asked(asked: Requirement) -> str:
    if asked.denied_by:
        return f"It is denied by {', '.join(asked.denied_by)}."
    if not asked.needs:
        return "It needs no approval."
    needs = [
        f"{need.rule} needs {need.approvals} from {', '.join(need.approvers) or 'any approver'}"
        for need in asked.needs
    ]
    return (
        f"It waits for approvals: {'; '.join(needs)}. Within {asked.decide_ms // 1000} s, "
        f"to be used within {asked.use_ms // 1000} s."
    )
