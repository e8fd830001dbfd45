"""The outbox of the audit: one stream for each workspace, of entries that the database lacks.

The scripts that open and end runs append intents and outcomes in the same atomic step.
"""

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import asdict, replace

from stores.audit_entries import RELAY, Entry
from stores.redis import names
from stores.redis.scripts import Scripts

# Replaces an entry that cannot be decoded: another version or another client wrote it.
UNREADABLE = Entry(event="entry.unreadable", principal=RELAY)
# The last millisecond of the year 9999, and the limits of the columns of the database.
LAST_MS = 253_402_300_799_999
SOURCE_MAX = 64
NUMBER_MAX = 2**31 - 1


class Origin(msgspec.Struct):
    """The action, provider and digest of the preview that a run has spent."""

    action: str = ""
    provider: str = ""
    digest: str = ""


_entry = msgspec.json.Decoder(Entry)
_origin = msgspec.json.Decoder(Origin)


class Waiting(NamedTuple):
    """A batch of entries, each with its source. `total`: how many wait. `oldest`: an age."""

    ids: Sequence[bytes]
    entries: Sequence[tuple[str, Entry]]
    total: int
    oldest: timedelta


class Outbox:
    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def record(self, workspace: str, entries: Sequence[tuple[str, Entry]]) -> None:
        """Append pairs of source and entry. Raises RedisUnavailable."""
        args = [
            arg
            for source, entry in entries
            for arg in (source, entry.at, msgspec.json.encode(entry))
        ]
        await self._scripts.call("record", [names.outbox(workspace)], *args)

    async def collect(
        self, workspace: str, *, shipped: Sequence[bytes] = (), limit: int
    ) -> Waiting:
        """Remove the `shipped` entries and return the oldest that wait, with the outcomes of runs
        whose gateway can no longer report one. Raises RedisUnavailable.
        """
        touched = [
            names.outbox(workspace),
            names.in_flight(workspace),
            names.pending(workspace),
        ]
        prefixes = names.run_prefix(workspace), names.approval_prefix(workspace)
        _, now_ms, total, found = await self._scripts.call(
            "collect", touched, *prefixes, limit, *shipped
        )
        entries = [_read(stream_id, fields) for stream_id, fields in found]
        since = now_ms - entries[0][1].at if entries else 0
        ids = [stream_id for stream_id, _ in found]
        return Waiting(ids, entries, total, timedelta(milliseconds=max(0, since)))


def _read(stream_id: bytes, fields: list[Any]) -> tuple[str, Entry]:
    record: dict[bytes, bytes] = dict(zip(fields[::2], fields[1::2], strict=True))
    try:
        entry = _decoded(record)
    except (KeyError, ValueError, RecursionError):  # it must not block the entries after it
        entry = UNREADABLE
    return _source(entry, record.get(b"source", stream_id)), entry


def _decoded(record: dict[bytes, bytes]) -> Entry:
    """The entry with the fields of its run. Raises KeyError or ValueError if it is malformed."""
    fields: dict[str, Any] = {"at": _time(record[b"at"])}
    if preview_id := record.get(b"preview"):
        fields["preview_id"] = preview_id.decode()
    if state := record.get(b"status"):
        fields["status"] = state.decode()
    if origin := record.get(b"origin"):
        fields |= {name: value for name, value in asdict(_origin.decode(origin)).items() if value}
    entry = replace(_entry.decode(record[b"entry"]), **fields)
    if not all(0 <= n <= NUMBER_MAX for n in (entry.status_code, entry.duration_ms, entry.count)):
        raise ValueError("a number that is too large for its column")
    return entry


def _time(text: bytes) -> int:
    """Epoch milliseconds. Raises ValueError for a time that no RFC 3339 timestamp can express."""
    if not 0 <= (at := int(text)) <= LAST_MS:
        raise ValueError(at)
    return at


def _source(entry: Entry, other: bytes) -> str:
    """Identify the entry for the database, which keeps one intent and one outcome of a run."""
    source = f"{entry.run_id}:{entry.event}" if entry.run_id else other.decode("utf-8", "replace")
    if len(source) <= SOURCE_MAX and "\0" not in source:
        return source
    return sha256(source.encode("utf-8", "replace")).hexdigest()
