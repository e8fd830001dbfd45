"""The history of approvals: derived from audit entries, kept as long as they are."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import msgspec

from stores.approvals import Decider, RuleNeed, State
from stores.audit_entries import Entry
from stores.sql.drivers.connection import Conditions, Connection
from stores.sql.runs import Number, RunId, decoded
from stores.sql.tables import APPROVALS

_needs = msgspec.json.Decoder(tuple[RuleNeed, ...])
_policies = msgspec.json.Decoder(list[str])
_deciders = msgspec.json.Decoder(list[Decider])
_entries = msgspec.json.Decoder(list[int])


class ApprovalRow(NamedTuple):
    """A row of the table `approvals`, in the order of its columns."""

    workspace: str
    preview_id: str
    action: str
    provider: str
    digest: str
    requester: str
    requester_key: str
    state: str
    needs: str
    policies: str
    deciders: str
    entries: str
    requested_at: int
    decide_by: int
    use_ms: int
    use_by: int | None
    ended_at: int | None
    run_id: str | None

    def state_at(self, now_ms: int) -> State:
        """`unused` is no event: the time for the execution passes."""
        past = self.use_by is not None and self.use_by <= now_ms
        return "unused" if self.state == "approved" and past else cast("State", self.state)

    @property
    def all_needs(self) -> Sequence[RuleNeed]:
        return _needs.decode(self.needs)

    @property
    def all_deciders(self) -> Sequence[Decider]:
        return _deciders.decode(self.deciders)

    @property
    def all_entries(self) -> Sequence[int]:
        """Their sequence numbers in the audit."""
        return _entries.decode(self.entries)


class Cursor(NamedTuple):
    requested_at: Number
    preview_id: RunId


class Filter(NamedTuple):
    """None matches anything. `state`: one of `stores.approvals.State` but `pending`."""

    state: str | None = None
    action: str | None = None
    requester: str | None = None


async def record(
    connection: Connection, workspace: str, entries: Iterable[tuple[int, Entry]]
) -> None:
    """Note what these entries say of approvals. Pairs of sequence number and entry, in order."""
    concerned = [(seq, entry) for seq, entry in entries if _concerns(entry)]
    if not concerned:
        return
    ids = {APPROVALS.fit("preview_id", entry.preview_id) for _, entry in concerned}
    which = "WHERE workspace = $1 AND preview_id = ANY($2)"
    found = await connection.fetch(APPROVALS.select + which, workspace, [*ids])
    rows = {row.preview_id: row for row in (ApprovalRow(*each) for each in found)}
    for seq, entry in concerned:
        preview_id = APPROVALS.fit("preview_id", entry.preview_id)
        if changed := _changed(rows.get(preview_id), workspace, seq, entry):
            rows[preview_id] = changed
    if rows:
        written = ("state", "deciders", "entries", "use_by", "ended_at", "run_id")
        change = ", ".join(f"{name} = excluded.{name}" for name in written)
        conflict = f"ON CONFLICT (workspace, preview_id) DO UPDATE SET {change}"
        await connection.insert(APPROVALS, [*rows.values()], conflict)


def _concerns(entry: Entry) -> bool:
    return (
        entry.event.startswith("approval.")
        or (entry.event == "run.intended" and entry.approval is not None)
        or (entry.event == "run.ended" and entry.status == "not_sent")
    )


def _changed(row: ApprovalRow | None, workspace: str, seq: int, entry: Entry) -> ApprovalRow | None:
    """The row after this entry; None if no approval is known."""
    if row is None:
        return _requested(workspace, seq, entry) if entry.event == "approval.requested" else None
    row = row._replace(entries=_text([*row.all_entries, seq]))
    match entry.event:
        case "approval.decided":
            return _decided(row, entry)
        case "approval.ended":
            return row._replace(state=APPROVALS.fit("state", entry.status), ended_at=entry.at)
        case "run.intended":
            return row._replace(state="executed", run_id=APPROVALS.fit("run_id", entry.run_id))
        case "run.ended" if row.run_id == entry.run_id:  # nothing was sent
            return row._replace(state="approved", run_id=None)
    return row


def _requested(workspace: str, seq: int, entry: Entry) -> ApprovalRow | None:
    if (asked := entry.approval) is None:
        return None
    return ApprovalRow(
        workspace=workspace,
        preview_id=APPROVALS.fit("preview_id", entry.preview_id),
        action=APPROVALS.fit("action", entry.action),
        provider=APPROVALS.fit("provider", entry.provider),
        digest=APPROVALS.fit("digest", entry.digest),
        requester=APPROVALS.fit("requester", asked.requester),
        requester_key=APPROVALS.fit("requester_key", entry.principal),
        state="pending",
        needs=_text(asked.needs),
        policies=_text(asked.policies),
        deciders="[]",
        entries=_text([seq]),
        requested_at=entry.at,
        decide_by=entry.at + asked.decide_ms,
        use_ms=asked.use_ms,
        use_by=None,
        ended_at=None,
        run_id=None,
    )


def _decided(row: ApprovalRow, entry: Entry) -> ApprovalRow:
    if (facts := entry.approval) is None:
        return row
    decider = Decider(
        decision="deny" if facts.decision == "deny" else "approve",
        subject=facts.approver,
        key=entry.principal,
        role=facts.role,
        reason=entry.detail.replace("\0", ""),
        at=entry.at,
    )
    return row._replace(
        state=APPROVALS.fit("state", entry.status),
        deciders=_text([*row.all_deciders, decider]),
        use_by=entry.at + row.use_ms if entry.status == "approved" else None,
        ended_at=entry.at if entry.status == "denied" else None,
    )


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def find(connection: Connection, workspace: str, preview_id: str) -> ApprovalRow | None:
    if "\0" in preview_id:  # PostgreSQL refuses such text
        return None
    which = "WHERE workspace = $1 AND preview_id = $2"
    rows = await connection.fetch(APPROVALS.select + which, workspace, preview_id)
    return ApprovalRow(*rows[0]) if rows else None


async def page(
    connection: Connection,
    workspace: str,
    filters: Filter,
    *,
    now_ms: int,
    before: Cursor | None = None,
    limit: int,
) -> list[ApprovalRow]:
    """At most `limit` approvals that wait no more, newest first. `before`: the last one of the page
    before.
    """
    which = Conditions(workspace)
    match filters.state:
        case "approved":
            which.add("state = {} AND use_by > {}", "approved", now_ms)
        case "unused":
            which.add("state = {} AND use_by <= {}", "approved", now_ms)
        case state:
            which.add("state = {}", state)
    for name, text in (("action", filters.action), ("requester", filters.requester)):
        which.add(name + " = {}", text if text is None else APPROVALS.fit(name, text))
    if before is not None:
        which.add("(requested_at, preview_id) < ({}, {})", *before)
    newest = (
        f"{APPROVALS.select}WHERE {which.sql} AND state <> 'pending' "
        f"ORDER BY requested_at DESC, preview_id DESC LIMIT {limit:d}"
    )
    return [ApprovalRow(*row) for row in await connection.fetch(newest, *which.values)]


def cursor(text: str) -> Cursor:
    """Raises ValueError for text that `encoded` did not make."""
    found: Cursor = decoded(text, Cursor)
    return found
