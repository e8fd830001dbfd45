"""`relay approvals list | show | approve | deny | watch`: decide over HTTP, with RELAY_API_KEY."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli.options import Duration
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError

if TYPE_CHECKING:
    from gateway.api.deciding.approvals import ApprovalBody
    from gateway.cli.approvals.gateway import Gateway

F = TypeVar("F", bound=Callable[..., Any])

EVERY = Duration(shortest=timedelta(milliseconds=100), longest=timedelta(hours=1))
url_option = click.option(
    "--url",
    default="http://127.0.0.1:8000",
    envvar="RELAY_URL",
    show_default=True,
    show_envvar=True,
    help="The gateway.",
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


@click.group()
def approvals() -> None:
    """See what waits for a decision, and decide. RELAY_API_KEY says who decides."""


@approvals.command(name="list")
@click.option("--action", help="Only of this action.")
@click.option("--requester", help="Only what this subject asked for.")
@url_option
@as_json_option
def list_(url: str, as_json: bool, **filters: str | None) -> None:
    """List what waits for a decision, the latest deadline first."""
    import msgspec

    from gateway.cli.approvals.shown import spelled
    from gateway.cli.output import print_list

    with _gateway(url) as gateway:
        found = list(gateway.pending(**{name: it for name, it in filters.items() if it}))
    if as_json:  # in ASCII: a terminal obeys more than what JSON escapes
        click.echo(json.dumps({"approvals": msgspec.to_builtins(found)}, indent=2))
        return
    rows = [
        {
            "preview_id": spelled(it.preview_id),
            "decide_by": spelled(it.decide_by),
            "requester": spelled(it.requester),
            "missing": max((rule.left for rule in it.rules), default=0),
            "summary": spelled(it.summary or it.action),
        }
        for it in found
    ]
    print_list("approvals", rows, lambda row: row, as_json=False)


@approvals.command()
@click.argument("preview_id")
@url_option
@as_json_option
def show(preview_id: str, url: str, as_json: bool) -> None:
    """Show the requester, the rules and the very bytes, with hidden characters spelled out."""
    import msgspec

    from gateway.cli.approvals.shown import print_approval

    with _gateway(url) as gateway:
        found = gateway.find(preview_id)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found), indent=2))
    else:
        print_approval(found)


def deciding(command: F) -> F:
    """The argument and the options of both decisions."""
    for option in (
        click.option("--yes", is_flag=True, help="Do not ask to confirm, for scripts."),
        click.option("--reason", help="Why, for the requester and the audit."),
        url_option,
        click.argument("preview_id"),
    ):
        command = option(command)
    return command


@approvals.command()
@deciding
def approve(preview_id: str, url: str, reason: str | None, yes: bool) -> None:
    """Show the request, and approve exactly what was shown."""
    _decide("approve", preview_id, url=url, reason=reason, yes=yes)


@approvals.command()
@deciding
def deny(preview_id: str, url: str, reason: str | None, yes: bool) -> None:
    """Show the request, and deny it for good."""
    _decide("deny", preview_id, url=url, reason=reason, yes=yes)


@approvals.command()
@click.option(
    "--every", type=EVERY, default="2s", show_default=True, help="How often the gateway is asked."
)
@url_option
@as_json_option
def watch(url: str, every: timedelta, as_json: bool) -> None:
    """Print what starts to wait and what has ended, a line each, until interrupted."""
    from gateway.cli.approvals.watch import follow

    with suppress(KeyboardInterrupt), _gateway(url) as gateway:
        follow(gateway, every=every, as_json=as_json)


def _decide(decision: str, preview_id: str, *, url: str, reason: str | None, yes: bool) -> None:
    from gateway.cli.approvals.shown import print_approval

    with _gateway(url) as gateway:
        found = gateway.find(preview_id)
        print_approval(found)
        digest = _digest(found)
        if reason is None:
            reason = _reason(_asking(found, decision), yes=yes)
        if not yes:
            click.confirm(f"{decision.capitalize()} this request?", abort=True)
        state = gateway.decide(found.preview_id, decision=decision, digest=digest, reason=reason)
        click.echo(_sentence(gateway, found, state))


def _digest(found: "ApprovalBody") -> str:
    """The digest of what was printed. Raises ClickException unless it can be decided on."""
    from gateway.cli.approvals.shown import digest_of, spelled

    if found.state != "pending" or found.wire is None:
        ended = f"this approval is {spelled(found.state)}; nothing is left to decide"
        raise click.ClickException(f"approval_ended: {ended}")
    try:
        digest = digest_of(found.wire)
    except ValueError as error:
        raise click.ClickException(f"nothing was decided: {error}") from error
    if digest != found.digest:
        raise click.ClickException(
            f"nothing was decided: the digest of what is shown is {digest}, "
            f"and the gateway says {spelled(found.digest)}"
        )
    return digest


def _reason(rules: list[str], *, yes: bool) -> str:
    """Typed; `yes`: only where one of these rules asks for a reason."""
    from gateway.cli.approvals.shown import spelled

    if rules:
        asked = f"Reason, which {', '.join(map(spelled, rules))} asks for"
        return str(click.prompt(asked))
    return "" if yes else str(click.prompt("Reason, or nothing", default="", show_default=False))


def _asking(found: "ApprovalBody", decision: str) -> list[str]:
    """The rules that ask for a reason."""
    wanted = ("always", "deny") if decision == "deny" else ("always",)
    return [rule.rule for rule in found.rules if rule.reason in wanted]


def _sentence(gateway: "Gateway", found: "ApprovalBody", state: str) -> str:
    from gateway.cli.approvals.shown import spelled

    if state != "pending":
        return f"{spelled(found.preview_id)} is {spelled(state)}."
    rules = gateway.find(found.preview_id).rules
    missing = max((rule.left for rule in rules), default=0)
    return f"Recorded; {spelled(found.preview_id)} needs {missing} more."


@contextmanager
def _gateway(url: str) -> "Iterator[Gateway]":
    from gateway.cli.approvals.gateway import opened

    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    with opened(url, settings) as gateway:
        yield gateway
