"""`relay workspaces`: create and list workspaces, set their limits."""

import re
from typing import TYPE_CHECKING, Literal

import click

from gateway.cli.admin.session import CLI, ask
from gateway.cli.output import Document, day, print_list, time

if TYPE_CHECKING:
    from stores.sql.workspaces import Workspace

DEFAULT: Literal["default"] = "default"
MOST = 1_000_000


class Limit(click.ParamType[int | Literal["default"]]):
    """A number, or `default` for the setting of the gateway."""

    name = "number"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Literal["default"]:
        if value == DEFAULT:
            return DEFAULT
        if not re.fullmatch(r"[0-9]{1,7}", value) or not 1 <= int(value) <= MOST:
            self.fail(f"{value!r} is neither a number from 1 to {MOST} nor `default`", param, ctx)
        return int(value)


@click.group()
def workspaces() -> None:
    """Manage workspaces: every key and limit is inside one."""


@workspaces.command()
@click.argument("name")
def create(name: str) -> None:
    """Create a workspace."""
    ask(lambda services: services.workspaces.create(name, actor=CLI))
    click.echo(f"Workspace {name} is created.")


@workspaces.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
def list_(as_json: bool) -> None:
    """List all workspaces with their own limits."""
    listed = ask(lambda services: services.workspaces.list())
    print_list("workspaces", [document(one) for one in listed], _row, as_json=as_json)


@workspaces.command()
@click.argument("name")
@click.option("--preview", type=Limit(), help="Previews a minute.")
@click.option("--execute", type=Limit(), help="Executions a minute.")
@click.option("--runs-at-once", type=Limit(), help="Concurrent runs.")
@click.option("--runs-at-once-per-target", type=Limit(), help="Concurrent runs to one target.")
def limits(name: str, **given: int | Literal["default"] | None) -> None:
    """Set limits of a workspace; `default` resets one to the gateway's setting."""
    changes = {of: to if isinstance(to, int) else None for of, to in given.items() if to}
    if not changes:
        raise click.UsageError("Name a limit, such as --execute 50.")
    workspace = ask(lambda services: services.workspaces.limit(name, changes, actor=CLI))
    click.echo(f"Workspace {name}: {_text(workspace)}.")


def document(workspace: "Workspace") -> Document:
    made = {"name": workspace.name, "created_at": time(workspace.created_at)}
    return made | workspace.limits._asdict()


def _row(workspace: Document) -> Document:
    return {
        "name": workspace["name"],
        "created": day(workspace["created_at"]),
        "preview": workspace["preview"],
        "execute": workspace["execute"],
        "runs at once": workspace["runs_at_once"],
        "per target": workspace["runs_at_once_per_target"],
    }


def _text(workspace: "Workspace") -> str:
    held = workspace.limits._asdict().items()
    return ", ".join(f"{of.replace('_', ' ')} {to or DEFAULT}" for of, to in held)
