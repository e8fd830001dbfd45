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

from gateway.cli.audit.heads import REPLACEMENT
from gateway.cli.audit.progress import progress
from gateway.cli.options import Instant
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError
from gateway.timestamps import epoch_ms
from stores.audit_entries import EVENTS

if TYPE_CHECKING:
    from gateway.cli.audit.export import ExportRequest
    from stores.audit.chain import Chain
    from stores.audit.signatures import SignedHead
    from stores.audit.walk import Broken, Verified
    from stores.sql.database import Database

T = TypeVar("T")


class NotLookedAt(click.ClickException):
    """The chains could not be checked: exit status 2."""

    exit_code = 2


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

    Exit status 1 when a chain is broken, 2 when that could not be looked at.
    """
    from gateway.cli.audit.heads import logged

    verdicts = _run(_verify(named, logged(log, named) if log else []))
    documents = [_document(verdict) for verdict in verdicts]
    well = all(document["ok"] for document in documents)
    if as_json:
        click.echo(json.dumps({"ok": well, "workspaces": documents}, indent=2))
        sys.exit(0 if well else 1)
    if not documents:
        click.echo("Nothing was audited.")
    for document in documents:
        broken = "" if document["ok"] else "BROKEN: "
        click.echo(f"{document['workspace']}: {broken}{document['detail']}")
    sys.exit(0 if well else 1)


@audit.command()
@click.option(
    "--since",
    type=Instant(),
    help="By the time of the entry: such as 2026-11-23, 24h or 7d. One may arrive late: who hands "
    "over again and again uses --after with the last `seq` that came before.",
)
@click.option("--until", type=Instant(), help="Up to then, not included; now by default.")
@click.option(
    "--after",
    type=click.IntRange(0, 2**63 - 1),
    metavar="SEQ",
    help="Instead of --since: entries with a greater number; takes exactly one --workspace.",
)
@click.option("--workspace", "named", multiple=True, help="Only this one; may be repeated.")
@click.option(
    "--event", multiple=True, type=click.Choice(EVENTS), help="Only this one; may be repeated."
)
def export(named: tuple[str, ...], event: tuple[str, ...], **asked: int | None) -> None:
    """Print entries as JSON lines: workspace by workspace, oldest first.

    That they were read becomes an entry itself, which a later reading hands over.
    """
    from gateway.cli.audit.export import ExportRequest, export_range

    now = epoch_ms(datetime.now(UTC))
    _run(_export(named, ExportRequest(export_range(named, now, **asked), event), now_ms=now))


async def _verify(named: Sequence[str], heads: "Sequence[SignedHead]") -> "list[Verified | Broken]":
    from stores.audit.pages import select_entries, span
    from stores.audit.verify import verify as verified

    async with _opened() as (database, chain):
        names = await _names(database, named, known=[head.workspace for head in heads])
        async with database.connect() as connection:
            length = sum([await span(connection, select_entries(name)) for name in names])
        with progress(length, "Verifying") as bar:
            return [
                _believed(await verified(database, chain, name, heads=heads, progress=bar.update))
                for name in names
            ]


def _believed(verdict: "Verified | Broken") -> "Verified | Broken":
    """Entries under a name that is not UTF-8 were inserted: no request could have made them."""
    from stores.audit.walk import Broken

    garbled = REPLACEMENT in verdict.workspace
    return Broken(verdict.workspace, 1, "inserted") if garbled else verdict


async def _export(named: Sequence[str], request: "ExportRequest", *, now_ms: int) -> None:
    from gateway.cli.audit.export import hand_over, record

    async with _opened() as (database, chain):
        for name in await _names(database, named):
            if REPLACEMENT in name:
                click.echo(f"Warning: {name!r} is no name, and is not handed over.", err=True)
                continue
            last = await record(database, chain, name, request, now_ms=now_ms)
            await hand_over(database, chain, name, request, last=last)


@asynccontextmanager
async def _opened() -> "AsyncIterator[tuple[Database, Chain]]":
    from gateway.config.local_keys import kept_audit_keys
    from gateway.database import location
    from stores.audit.chain import Chain
    from stores.sql.database import open_database, parsed_url

    settings = Settings.from_env(os.environ)
    try:
        parsed_url(*location(settings))
    except ValueError as error:
        raise SettingsError(f"DATABASE_URL: {error}") from error
    async with open_database(*location(settings)) as database:
        await database.check()
        yield database, Chain(kept_audit_keys(settings))


async def _names(
    database: "Database", named: Sequence[str], *, known: Iterable[str] = ()
) -> list[str]:
    """Those that are asked for, or all. `known`: from elsewhere, be nothing left of them."""
    from stores.audit.pages import audited

    async with database.connect() as connection:
        there = {*known, *await audited(connection)}
    if strange := sorted({*named} - there):
        raise NotLookedAt(f"Nothing was audited in {', '.join(strange)}.")
    return sorted({*named} or there)


def _document(verdict: "Verified | Broken") -> dict[str, Any]:
    from stores.audit.walk import Broken

    if isinstance(verdict, Broken):
        return {"ok": False, **verdict._asdict(), "detail": verdict.sentence}
    entries = "1 entry" if verdict.entries == 1 else f"{verdict.entries} entries"
    return {"ok": True, **verdict._asdict(), "detail": f"{entries} verified"}


def _run(work: Coroutine[Any, Any, T]) -> T:
    from stores.sql.database import DatabaseUnavailable, SchemaOutdated
    from stores.sql.errors import StatementFailed

    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise NotLookedAt("interrupted") from None
    except (SettingsError, SchemaOutdated, DatabaseUnavailable) as error:
        raise NotLookedAt(str(error)) from error
    except OSError as error:
        if error.filename is None:  # a closed pipe
            raise
        raise NotLookedAt(f"{error.filename}: {error.strerror}") from error
    except StatementFailed as error:  # such as a table that is gone
        raise NotLookedAt(f"the database holds what it cannot: {error.orig}") from error
