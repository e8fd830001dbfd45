"""`relay audit verify | export`: verify the audit and export it."""

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


class NotChecked(click.ClickException):
    """The chains could not be checked: exit status 2."""

    exit_code = 2


@click.group()
def audit() -> None:
    """Verify and export the audit: the record of who did what, when and with which outcome."""


@audit.command()
@click.option("--workspace", "named", multiple=True, help="Only this workspace; may be repeated.")
@click.option(
    "--heads",
    "log",
    type=click.File(encoding="utf-8", errors="replace"),
    help="A log of the gateways, or - for stdin. Its heads show whether a chain was cut.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
def verify(named: tuple[str, ...], log: TextIO | None, as_json: bool) -> None:
    """Check the signature of every entry and report the first that was changed.

    Exit status 1 if a chain is broken, 2 if it cannot be checked.
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
    help="Entries from this time on: a date such as 2026-11-23, or an age such as 24h or 7d. An "
    "entry may arrive late, so regular exports use --after with the last `seq` of the one before.",
)
@click.option("--until", type=Instant(), help="Entries before this time; now by default.")
@click.option(
    "--after",
    type=click.IntRange(0, 2**63 - 1),
    metavar="SEQ",
    help="Entries after this number, instead of --since; needs exactly one --workspace.",
)
@click.option("--workspace", "named", multiple=True, help="Only this workspace; may be repeated.")
@click.option(
    "--event", multiple=True, type=click.Choice(EVENTS), help="Only this event; may be repeated."
)
def export(named: tuple[str, ...], event: tuple[str, ...], **asked: int | None) -> None:
    """Print entries as JSON lines, by workspace and oldest first.

    The audit records the export as an entry of its own, which a later export contains.
    """
    from gateway.cli.audit.export import ExportRequest, export_range

    now = epoch_ms(datetime.now(UTC))
    _run(_export(named, ExportRequest(export_range(named, now, **asked), event), now_ms=now))


async def _verify(named: Sequence[str], heads: "Sequence[SignedHead]") -> "list[Verified | Broken]":
    from stores.audit.pages import Selection, entries_spanned
    from stores.audit.verify import verify as verified

    async with _opened() as (database, chain):
        names = await _names(database, named, known=[head.workspace for head in heads])
        async with database.connect() as connection:
            length = sum([await entries_spanned(connection, Selection(name)) for name in names])
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
                refused = f"{name!r} is not a valid workspace name; its entries are not exported"
                click.echo(f"Warning: {refused}.", err=True)
                continue
            last = await record(database, chain, name, request, now_ms=now_ms)
            await hand_over(database, chain, name, request, last=last)


@asynccontextmanager
async def _opened() -> "AsyncIterator[tuple[Database, Chain]]":
    from gateway.config.local_keys import kept_audit_keys
    from gateway.database import location
    from stores.audit.chain import Chain
    from stores.sql.database import open_database

    settings = Settings.from_env(os.environ)
    async with open_database(*location(settings)) as database:
        await database.check()
        yield database, Chain(kept_audit_keys(settings))


async def _names(
    database: "Database", named: Sequence[str], *, known: Iterable[str] = ()
) -> list[str]:
    """The workspaces that were named, or all. `known`: those that the heads of a log name, even if
    they have no entries left.
    """
    from stores.audit.pages import audited_workspaces

    async with database.connect() as connection:
        there = {*known, *await audited_workspaces(connection)}
    if strange := sorted({*named} - there):
        raise NotChecked(f"Nothing was audited in {', '.join(strange)}.")
    return sorted({*named} or there)


def _document(verdict: "Verified | Broken") -> dict[str, Any]:
    from stores.audit.walk import Broken

    if isinstance(verdict, Broken):
        return {"ok": False, **verdict._asdict(), "detail": verdict.sentence}
    entries = "1 entry" if verdict.entries == 1 else f"{verdict.entries} entries"
    return {"ok": True, **verdict._asdict(), "detail": f"{entries} verified"}


def _run(work: Coroutine[Any, Any, T]) -> T:
    from stores.sql.drivers.errors import DatabaseUnavailable, SchemaOutdated, StatementFailed

    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise NotChecked("interrupted") from None
    except (SettingsError, SchemaOutdated, DatabaseUnavailable) as error:
        raise NotChecked(str(error)) from error
    except OSError as error:
        if error.filename is None:  # a closed pipe
            raise
        raise NotChecked(f"{error.filename}: {error.strerror}") from error
    except StatementFailed as error:  # such as a table that is gone
        raise NotChecked(f"the database cannot be read: {error}") from error
