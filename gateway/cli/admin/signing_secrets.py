"""`relay secrets`: the signing secrets with which receivers verify what Relay sent."""

import time as clock
from typing import TYPE_CHECKING

import click

from gateway.cli.admin.session import CLI, ask
from gateway.cli.output import Document, minute, print_list, print_secret, time

if TYPE_CHECKING:
    from stores.sql.signing_secrets import SealedSecret

in_workspace = click.option(
    "--workspace", default="default", show_default=True, help="The workspace of the secret."
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


@click.group()
def secrets() -> None:
    """Manage signing secrets; a workspace without one uses ACTIONS_SIGNING_SECRET."""


@secrets.command()
@in_workspace
@as_json_option
def create(workspace: str, as_json: bool) -> None:
    """Create a secret and print it, once; the secret before it signs for another day."""
    _create(workspace, as_json=as_json)


@secrets.command(name="list")
@in_workspace
@as_json_option
def list_(workspace: str, as_json: bool) -> None:
    """List the secrets of a workspace, newest first, without their text."""
    listed = ask(lambda services: services.secrets.list_secrets(workspace))
    now_ms = clock.time() * 1000
    print_list("secrets", [document(one, now_ms) for one in listed], _row, as_json=as_json)


@secrets.command()
def reseal() -> None:
    """Seal all secrets under the first key of RELAY_ENCRYPTION_KEY; then remove the others."""
    count = ask(lambda services: services.secrets.reseal(actor=CLI))
    click.echo(f"{count} secrets were sealed under another key." if count else "Nothing to do.")


def document(secret: "SealedSecret", now_ms: float) -> Document:
    """A secret as it is printed: without its text."""
    retired = secret.retires_at is not None and secret.retires_at <= now_ms
    return {
        "id": secret.id,
        "workspace": secret.workspace,
        "created_at": time(secret.created_at),
        "created_by": secret.created_by,
        "retires_at": time(secret.retires_at),
        "sealed_with": secret.sealed_with,
        "state": "retired" if retired else "active",
    }


def _row(secret: Document) -> Document:
    return {
        "id": secret["id"],
        "created": minute(secret["created_at"]),
        "retires": minute(secret["retires_at"]),
        "state": secret["state"],
    }


def _create(workspace: str, *, as_json: bool) -> None:
    issued = ask(lambda services: services.secrets.create_secret(workspace, actor=CLI))
    document = {"id": issued.id, "workspace": workspace}
    text = (
        f"Signing secret {issued.id} of the workspace {workspace}. It is shown this once, "
        "and kept sealed:"
    )
    print_secret(document, as_json=as_json, secret=issued.secret, text=text)
