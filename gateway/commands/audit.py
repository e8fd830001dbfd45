"""`relay audit verify | export`: prove what happened, and hand it over."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from gateway.commands.moment import Moment, epoch_ms
from gateway.commands.progress import progress
from gateway.settings import Settings
from gateway.variables import SettingsError

if TYPE_CHECKING:
    from gateway.commands.export import Wanted
    from stores.sql.audit import Chain
    from stores.sql.database import Database
    from stores.sql.signed import SignedHead
    from stores.sql.walk import Broken, Verified

T = TypeVar("T")


@click.group()
def audit() -> None:
    """Who did what, when, and what came of it: prove it, or hand it over."""


@audit.command()
@click.option("--workspace", "named", multiple=True, help="Only this one; may be repeated.")
@click.option(
    "--heads",
    "log",
    type=click.File(encoding="utf-8", errors="replace"),
    help="Log lines of gateways, - for stdin: the heads in them show that a chain was cut.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
def verify(named: tuple[str, ...], log: TextIO | None, as_json: bool) -> None:
    """Check every entry, and name the first that is not as it was signed.

    Exit status 1 when a chain is broken.
    """
    verdicts = _run(_verify(named, _heads(log) if log else []))
    documents = [_document(verdict) for verdict in verdicts]
    well = all(document["ok"] for document in documents)
    if as_json:
        click.echo(json.dumps({"ok": well, "workspaces": documents}, indent=2))
    for document in () if as_json else documents:
        broken = "" if document["ok"] else "BROKEN: "
        click.echo(f"{document['workspace']}: {broken}{document['detail']}")
    sys.exit(0 if well else 1)


@audit.command()
@click.option("--since", type=Moment(), required=True, help="Such as 2026-11-23, 24h or 7d.")
@click.option("--until", type=Moment(), help="Up to then, not included; now by default.")
@click.option("--workspace", "named", multiple=True, help="Only this one; may be repeated.")
@click.option("--event", multiple=True, help="Only this one, such as run.ended; may be repeated.")
def export(since: int, until: int | None, named: tuple[str, ...], event: tuple[str, ...]) -> None:
    """Print entries as JSON lines: workspace by workspace, oldest first.

    That they were read becomes an entry itself.
    """
    from gateway.commands.export import Wanted

    now = epoch_ms(datetime.now(UTC))
    _run(_export(named, Wanted(since, min(until or now, now), event), now_ms=now))


def _heads(log: TextIO) -> "list[SignedHead]":
    from gateway.commands.heads import heads

    found, unreadable = heads(log)
    if unreadable or not found:
        said = f"Warning: the log has {len(found)} heads, and {unreadable} that are unreadable."
        click.echo(said, err=True)
    return found


async def _verify(named: Sequence[str], heads: "Sequence[SignedHead]") -> "list[Verified | Broken]":
    from stores.sql.pages import chosen, span
    from stores.sql.verify import verify as verified

    async with _opened() as (database, chain):
        names = await _names(database, named, known=[head.workspace for head in heads])
        async with database.connect() as connection:
            length = sum([await span(connection, chosen(name)) for name in names])
        with progress(length, "Verifying") as bar:
            return [
                await verified(database, chain, name, heads=heads, progress=bar.update)
                for name in names
            ]


async def _export(named: Sequence[str], wanted: "Wanted", *, now_ms: int) -> None:
    from gateway.commands.export import hand_over, record

    async with _opened() as (database, chain):
        for name in await _names(database, named):
            await record(database, chain, name, wanted, now_ms=now_ms)
            await hand_over(database, name, wanted)


@asynccontextmanager
async def _opened() -> "AsyncIterator[tuple[Database, Chain]]":
    from gateway.durable import located
    from gateway.local_keys import audit_keys
    from stores.sql.audit import Chain
    from stores.sql.database import open_database, parsed_url

    settings = Settings.from_env(os.environ)
    try:
        parsed_url(*located(settings))
    except ValueError as error:
        raise SettingsError(f"DATABASE_URL: {error}") from error
    async with open_database(*located(settings)) as database:
        await database.check()
        yield database, Chain(audit_keys(settings))


async def _names(
    database: "Database", named: Sequence[str], *, known: Iterable[str] = ()
) -> list[str]:
    """Those that are asked for, or all. `known`: from elsewhere, be nothing left of them."""
    from stores.sql.pages import audited

    async with database.connect() as connection:
        there = {*known, *await audited(connection)}
    if strange := sorted({*named} - there):
        raise click.ClickException(f"Nothing was audited in {', '.join(strange)}.")
    return sorted({*named} or there)


def _document(verdict: "Verified | Broken") -> dict[str, Any]:
    from stores.sql.walk import Broken

    if isinstance(verdict, Broken):
        return {"ok": False, **verdict._asdict(), "detail": verdict.sentence}
    return {"ok": True, **verdict._asdict(), "detail": f"{verdict.entries} entries verified"}


def _run(work: Coroutine[Any, Any, T]) -> T:
    from sqlalchemy.exc import DBAPIError

    from stores.sql.database import DatabaseUnavailable, SchemaOutdated

    try:
        return asyncio.run(work)
    except (SettingsError, SchemaOutdated, DatabaseUnavailable) as error:
        raise click.ClickException(str(error)) from error
    except DBAPIError as error:  # such as bytes that are no text
        raise click.ClickException(f"the database holds what it cannot: {error.orig}") from error
