"""Entries that another version or client put into an outbox are audited, and stop nothing."""

from collections.abc import Mapping

import msgspec
import pytest

from stores.audit_entries import Entry
from stores.redis import names
from stores.redis.outbox import Outbox
from stores.redis.scripts import Scripts

Fields = Mapping[str, str | int | bytes]

OUTBOX = names.outbox("w")
ENTRY = msgspec.json.encode(Entry(event="e", principal="p")).decode()
LONG_RUN = msgspec.json.encode(Entry(event="e", principal="p", run_id="r" * 100)).decode()


async def put(scripts: Scripts, fields: Fields) -> tuple[str, Entry]:
    """Add fields to the outbox as they are; the entry as it is collected, with one after it."""
    await scripts._client.xadd(OUTBOX, dict(fields))  # type: ignore[arg-type]
    outbox = Outbox(scripts)
    await outbox.record("w", [("s-1", Entry(event="audit.read", principal="k-1"))])
    first, (_, after) = (await outbox.collect("w", limit=9)).entries
    assert after.event == "audit.read"
    return first


@pytest.mark.parametrize(
    "fields",
    [
        {"at": 1, "entry": "{}"},
        {"at": 1, "entry": "no JSON"},
        {"at": "soon", "entry": ENTRY},
        {"at": 10**25, "entry": ENTRY},
        {"at": -1, "entry": ENTRY},
        {"entry": ENTRY},
        {"at": 1, "entry": ENTRY, "origin": '{"action": 5}'},
        {"at": 1, "entry": ENTRY, "preview": b"\xff"},
        {"at": 1, "entry": ENTRY[:-1] + ',"duration_ms":9223372036854775808}'},
        {"at": 1, "entry": ENTRY[:-1] + ',"count":-1}'},
        {"at": 1, "entry": ENTRY[:-1] + ',"z":' + "[" * 5000 + "]" * 5000 + "}"},
    ],
)
async def test_an_unreadable_entry_is_replaced_in_its_place(
    scripts: Scripts, fields: Fields
) -> None:
    _, entry = await put(scripts, fields)
    assert entry == Entry(event="entry.unreadable", principal="relay")


async def test_an_origin_sets_the_fields_of_the_preview(scripts: Scripts) -> None:
    """It changes no other field of an entry."""
    origin = '{"action": "webhook.save", "at": "5", "count": "7", "principal": "me"}'
    _, entry = await put(scripts, {"at": 1, "entry": ENTRY, "origin": origin})
    assert entry == Entry(event="e", at=1, principal="p", action="webhook.save")


@pytest.mark.parametrize("fields", [{"source": "s" * 65}, {"source": "\0"}, {"entry": LONG_RUN}])
async def test_a_source_fits_into_the_database(scripts: Scripts, fields: Fields) -> None:
    """A long source is replaced by its digest, always the same, so that the entry is kept once."""
    first = await put(scripts, {"at": 1, "entry": ENTRY, **fields})
    await scripts._client.delete(OUTBOX)
    assert await put(scripts, {"at": 1, "entry": ENTRY, **fields}) == first
    source, entry = first
    assert len(source) == 64
    assert source.isalnum()
    assert entry.event == "e"
