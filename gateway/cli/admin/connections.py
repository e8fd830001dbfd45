"""`relay connections`: as whom the actions of a workspace may be sent."""

import json
import sys
from typing import TYPE_CHECKING, Literal

import click

from gateway.cli.admin.session import CLI, ask
from gateway.cli.approvals.commands import url_option
from gateway.cli.output import Document, minute, print_list, time

if TYPE_CHECKING:
    from stores.sql.connections import ConnectionRow

in_workspace = click.option(
    "--workspace", default="default", show_default=True, help="The workspace of the connection."
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


@click.group()
def connections() -> None:
    """Manage connections: credentials at providers and other hosts."""


@connections.command()
@click.argument("label")
@click.argument("hosts", nargs=-1, required=True)
@click.option("--user", help="Send the user and the secret as its password (basic).")
@click.option("--header", help="Send the secret in this header, instead of as a bearer token.")
@in_workspace
@as_json_option
def add(
    label: str,
    hosts: tuple[str, ...],
    *,
    user: str | None,
    header: str | None,
    workspace: str,
    as_json: bool,
) -> None:
    """Add a static credential, which may go to HOSTS alone.

    The secret is read from standard input, or asked for at a terminal; it is never shown.
    """
    from gateway.admin.static_credentials import StaticRequest
    from gateway.config.secret import Secret

    if user and header:
        raise click.UsageError("--user and --header exclude each other.")
    kind: Literal["bearer", "basic", "header"] = "basic" if user else "bearer"
    kind = "header" if header else kind
    secret = Secret(_secret().encode())
    wanted = StaticRequest(label, kind, secret, hosts, user or "", header or "")
    made = ask(lambda services: services.connections.create_static(workspace, wanted, actor=CLI))
    if as_json:
        click.echo(json.dumps(document(made), indent=2, ensure_ascii=False))
    else:
        click.echo(f"Connection {made.id} of the workspace {workspace} is created.")


@connections.command()
@click.argument("provider")
@click.option("--actions", required=True, help="What for, such as google.gmail.send; with commas.")
@click.option("--account", help="Connect no other account than this one.")
@click.option("--read-back", is_flag=True, help="Also ask for what finds out what became of a run.")
@url_option
def authorize(
    provider: str, *, actions: str, account: str | None, read_back: bool, url: str
) -> None:
    """Ask a gateway for the link with which a person connects an account at PROVIDER.

    RELAY_API_KEY is an administrator's key. The link works once, for ten minutes.
    """
    from gateway.cli.admin.authorizing import start_url

    asked = {
        "actions": [action.strip() for action in actions.split(",")],
        "expected_account": account,
        "read_back": read_back,
    }
    click.echo(start_url(url, provider, asked))


@connections.command(name="list")
@in_workspace
@as_json_option
def list_(workspace: str, as_json: bool) -> None:
    """List the connections of a workspace, oldest first, without their secrets."""
    listed = ask(lambda services: services.connections.list_connections(workspace))
    print_list("connections", [document(one) for one in listed], _row, as_json=as_json)


@connections.command()
@click.argument("connection_id")
@in_workspace
def show(connection_id: str, workspace: str) -> None:
    """Print a connection as JSON, without its secret."""
    one = ask(lambda services: services.connections.find_connection(workspace, connection_id))
    click.echo(json.dumps(document(one), indent=2, ensure_ascii=False))


@connections.command()
@click.argument("connection_id")
@in_workspace
def delete(connection_id: str, workspace: str) -> None:
    """Delete a connection; what was approved as its account is not sent any more."""
    ask(
        lambda services: services.connections.delete_connection(workspace, connection_id, actor=CLI)
    )
    click.echo(f"Connection {connection_id} is deleted.")


def document(connection: "ConnectionRow") -> Document:
    return {
        **connection._asdict(),
        "scopes": connection.scopes.split(),
        "hosts": connection.hosts.split(),
        **{
            name: time(getattr(connection, name))
            for name in ("created_at", "refreshed_at", "used_at")
        },
    }


def _secret() -> str:
    """One line of standard input, or what is typed at a terminal, which does not show it."""
    if sys.stdin.isatty():
        return str(click.prompt("Secret", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.read().removesuffix("\n").removesuffix("\r")


def _row(connection: Document) -> Document:
    return {
        "id": connection["id"],
        "provider": connection["provider"],
        "kind": connection["kind"],
        "name": connection["label"],
        "account": connection["account"],
        "state": connection["state"],
        "used": minute(connection["used_at"]),
    }
