"""The outbox of the audit: one stream for each workspace, of entries that the database lacks.

The scripts that open and end runs append intents and outcomes in the same atomic step.
"""

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import asdict, replace

from stores.approvals import Decider, RuleNeed
from stores.audit_entries import RELAY, ApprovalFacts, Entry
from stores.redis import names
from stores.redis.scripts import Scripts

# Replaces an entry that cannot be decoded: another version or another client wrote it.
UNREADABLE = Entry(event="entry.unreadable", principal=RELAY)
# The last millisecond of the year 9999, and the limits of the columns of the database.
LAST_MS = 253_402_300_799_999
SOURCE_MAX = 64
NUMBER_MAX = 2**31 - 1


class Origin(msgspec.Struct):
    """What a run keeps of the preview that it has spent."""

    action: str = ""
    provider: str = ""
    digest: str = ""
    method: str = ""
    host: str = ""
    connection: str = ""
    label: str = ""
    account: str = ""


class _Requester(msgspec.Struct):
    """Who asked for the preview of a run."""

    requester: str = msgspec.field(default="", name="subject")
    role: str = ""
    kind: str = ""
    warned: bool = False


class _Requirement(msgspec.Struct):
    needs: Sequence[RuleNeed] = ()


class _Asked(msgspec.Struct):
    requirement: _Requirement = msgspec.field(default_factory=_Requirement)
    policies: Sequence[str] = ()


class _Granted(msgspec.Struct):
    """What was asked for a preview that was approved, and who approved it."""

    asked: _Asked
    deciders: Sequence[Decider] = ()


_entry = msgspec.json.Decoder(Entry)
_requester = msgspec.json.Decoder(_Requester)
_granted = msgspec.json.Decoder(_Granted)
_asked = msgspec.json.Decoder(_Asked)
_origin = msgspec.json.Decoder(Origin)


class ExpiredApproval(NamedTuple):
    """`waited`: from the preview to the end of its time. `rules`: those that asked for it."""

    action: str
    waited: timedelta
    rules: Sequence[str]


class Waiting(NamedTuple):
    """A batch of entries, each with its source. `total`: how many wait. `oldest`: an age.
    `notices`: how many are due. `pending`: approvals; `used`: the share of its time that has passed
    for the one with the next deadline. `expired`: those that this call has ended.
    """

    ids: Sequence[bytes]
    entries: Sequence[tuple[str, Entry]]
    total: int
    oldest: timedelta
    notices: int = 0
    pending: int = 0
    used: float = 0.0
    expired: Sequence[ExpiredApproval] = ()


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
        """End as `unknown` the runs whose lease is over, remove the `shipped` entries, and return
        the oldest that wait. Raises RedisUnavailable.
        """
        keys = (names.outbox, names.in_flight, names.pending, names.notices)
        prefixes = (names.run_prefix, names.approval_prefix, names.changed_prefix)
        _, now_ms, total, found, notices, pending, *times = await self._scripts.call(
            "collect",
            [name(workspace) for name in keys],
            *(prefix(workspace) for prefix in prefixes),
            limit,
            *shipped,
        )
        entries = [_read(stream_id, fields) for stream_id, fields in found]
        since = now_ms - entries[0][1].at if entries else 0
        ids = [stream_id for stream_id, _ in found]
        at_ms, decide_by_ms, expired = times
        return Waiting(
            ids,
            entries,
            total,
            oldest=timedelta(milliseconds=max(0, since)),
            notices=notices,
            pending=pending,
            used=(now_ms - at_ms) / (decide_by_ms - at_ms) if decide_by_ms > at_ms else 0.0,
            expired=[_expired(each, now_ms) for each in expired],
        )


def _expired(fields: Sequence[bytes], now_ms: int) -> ExpiredApproval:
    origin, at_ms, requirement = fields
    rules = [need.rule for need in _asked.decode(requirement).requirement.needs]
    waited = timedelta(milliseconds=now_ms - int(at_ms))
    return ExpiredApproval(_origin.decode(origin).action, waited, rules)


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
    if by := record.get(b"by"):
        fields |= asdict(_requester.decode(by))
    if granted := record.get(b"granted"):
        fields["approval"] = _facts(_granted.decode(granted))
    entry = replace(_entry.decode(record[b"entry"]), **fields)
    if not all(0 <= n <= NUMBER_MAX for n in (entry.status_code, entry.duration_ms, entry.count)):
        raise ValueError("a number that is too large for its column")
    return entry


def _facts(granted: _Granted) -> ApprovalFacts:
    return ApprovalFacts(
        needs=granted.asked.requirement.needs,
        policies=granted.asked.policies,
        deciders=granted.deciders,
    )


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
