"""`relay keys`: make, list, rotate and revoke API keys."""

import time as clock
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from gateway.access.api_keys import BASE62, ID, parse
from gateway.access.roles import ROLES, SCOPES
from gateway.admin.keys import EXPIRES_IN, OVERLAP, KeyRequest, NewKey, kind
from gateway.cli.admin.session import CLI, ask
from gateway.cli.options import Duration
from gateway.cli.output import Document, day, print_list, print_secret, time

if TYPE_CHECKING:
    from stores.sql.api_keys import ApiKey

in_workspace = click.option(
    "--workspace", default="default", show_default=True, help="The workspace of the key."
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
TEST = """Create a test key. It sends like a live key, but cannot create live keys or signing
secrets. With the role developer, only a test key can execute."""


class KeyId(click.ParamType[str]):
    """The id of a key, or a whole key: all that the finder of a leaked key has."""

    name = "id"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        given = value.strip()
        if whole := parse(given):
            return whole.id
        if len(given) != ID or not set(given) <= set(BASE62):
            # The text is not repeated: it may be most of a key.
            self.fail("it is neither the id of a key (8 letters and digits) nor a key.", param, ctx)
        return given


@click.group()
def keys() -> None:
    """Manage API keys."""


@keys.command()
@in_workspace
@click.option("--name", required=True, help="What the key is for.")
@click.option("--role", required=True, type=click.Choice(list(ROLES)), help="What the key may do.")
@click.option("--test", is_flag=True, help=TEST)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(sorted(SCOPES)),
    help="Only this scope of the role, or actions:http; can be repeated.",
)
@click.option("--subject", help="The person or program behind the key; by default the key itself.")
@click.option(
    "--expires",
    "expires_in",
    type=Duration(),
    default=EXPIRES_IN,
    help="When the key expires; 90d from now by default.",
)
@as_json_option
def create(workspace: str, test: bool, as_json: bool, **asked: Any) -> None:
    """Create a key and print it, once."""
    scopes = asked.pop("scopes") or None
    wanted = KeyRequest(**asked, scopes=scopes, live=not test)
    new_key = ask(lambda services: services.keys.create_key(workspace, wanted, actor=CLI))
    _print(new_key, as_json=as_json)


@keys.command(name="list")
@in_workspace
@as_json_option
def list_(workspace: str, as_json: bool) -> None:
    """List the keys of a workspace, newest first."""
    listed = ask(lambda services: services.keys.list_keys(workspace))
    now_ms = clock.time() * 1000
    print_list("keys", [document(key, now_ms) for key in listed], _row, as_json=as_json)


@keys.command()
@click.argument("key_id", metavar="ID", type=KeyId())
@in_workspace
def revoke(key_id: str, workspace: str) -> None:
    """Revoke a key; every gateway refuses it within 5 s."""
    ask(lambda services: services.keys.revoke_key(workspace, key_id, actor=CLI))
    click.echo(f"Key {key_id} is revoked.")


@keys.command()
@click.argument("key_id", metavar="ID", type=KeyId())
@in_workspace
@click.option(
    "--overlap",
    type=Duration(),
    default=OVERLAP,
    help="How long the old key stays valid; 24h by default.",
)
@as_json_option
def rotate(key_id: str, workspace: str, overlap: timedelta, as_json: bool) -> None:
    """Replace a key by one like it and print it, once; the old one ends after the overlap."""
    new_key = ask(
        lambda services: services.keys.rotate_key(workspace, key_id, actor=CLI, overlap=overlap)
    )
    _print(new_key, as_json=as_json)


def document(key: "ApiKey", now_ms: float) -> Document:
    """A key as it is printed: without its text."""
    return {
        "id": key.id,
        "workspace": key.workspace,
        "name": key.name,
        "kind": kind(key.live),
        "role": key.role,
        "scopes": None if key.scopes is None else list(key.scopes),
        "created_at": time(key.created_at),
        "created_by": key.created_by,
        "expires_at": time(key.expires_at),
        "last_used_at": time(key.last_used_at),
        "revoked_at": time(key.revoked_at),
        "revoked_by": key.revoked_by,
        "replaced_by": key.replaced_by,
        "pepper_id": key.pepper_id,
        "subject": key.subject or key.id,
        "state": _state(key, now_ms),
    }


def _state(key: "ApiKey", now_ms: float) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at <= now_ms:
        return "expired"
    return "replaced" if key.replaced_by else "active"


def _row(key: Document) -> Document:
    scopes = "" if key["scopes"] is None else f": {' '.join(key['scopes'])}"
    return {
        "id": key["id"],
        "name": key["name"],
        "kind": key["kind"],
        "role": key["role"] + scopes,
        "created": day(key["created_at"]),
        "expires": day(key["expires_at"]),
        "last used": day(key["last_used_at"]),
        "state": key["state"],
    }


def _print(new_key: NewKey, *, as_json: bool) -> None:
    key = document(new_key.key, clock.time() * 1000)
    text = (
        "Key {id} ({kind} {role}) of the workspace {workspace} expires {expires_at}. "
        "It is shown only this once:"
    )
    print_secret(key, as_json=as_json, secret=new_key.secret, text=text.format(**key))
