"""Approvals: previews that are held until others have decided on them.

A held preview is no preview for any other script: what `reserve` can send exists only from the
approval until `use_by`.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple, cast

import msgspec
from msgspec import Raw

from stores.approvals import Decider, State
from stores.redis import names
from stores.redis.remembered import Remembered
from stores.redis.scripts import Scripts, UnknownAnswer


class Vote(NamedTuple):
    """`digest`: of what the approver saw. `makers`: subjects and ids of the keys that made the
    approver's key. `rules`: the positions of the rules that this approval counts for, from 1.
    `entry`: for the audit.
    """

    decider: Decider
    digest: str
    makers: Sequence[str]
    rules: Sequence[int]
    entry: bytes


class Held(NamedTuple):
    """A preview to hold. `target`: the host and port whose concurrent runs are counted. `needs`:
    how many approvals each rule needs. `facts`: what notices say of it, JSON. `remind`: after how
    long approvers are reminded, or 0.
    """

    preview_id: str
    doc: bytes
    origin: bytes
    by: bytes
    target: str
    digest: str
    requester: str
    requester_key: str
    requirement: bytes
    decide_within: timedelta
    use_within: timedelta
    facts: bytes
    remind: timedelta
    needs: Sequence[int]


class Approval(NamedTuple):
    """`doc`: the document of the preview, while it is held or was approved. `run_id`: of the run
    that has spent the preview, or empty. `left`: how many approvals each rule still needs.
    `ended_by`: the subject that gave it up, or empty.
    """

    preview_id: str
    state: State
    digest: str
    origin: bytes
    requester: str
    requester_key: str
    requirement: Raw
    deciders: Sequence[Decider]
    left: Sequence[int]
    requested_at_ms: int
    decide_by_ms: int
    use_by_ms: int
    now_ms: int
    doc: bytes | None
    run_id: str
    ended_by: str = ""


class NoApproval(NamedTuple):
    """There is none with this id, or it is older than its tombstone."""


class Decided(NamedTuple):
    state: State


class Ended(NamedTuple):
    """It was decided otherwise, has expired, or was given up before."""

    state: State


class OwnRequest(NamedTuple):
    """The decision comes from the requester, or from a key that the requester made."""


class DigestMismatch(NamedTuple):
    digest: str


class Withdrawn(NamedTuple):
    state: State


class Executed(NamedTuple):
    run_id: str


class Approvals:
    """Every method raises RedisUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self.remembered = Remembered(scripts)

    async def hold(self, workspace: str, held: Held, entry: bytes) -> int:
        """Hold the preview. Returns the deadline in epoch milliseconds of the server's clock."""
        keys = [
            names.approval(workspace, held.preview_id),
            names.pending(workspace),
            names.outbox(workspace),
            names.notices(workspace),
        ]
        channel = names.changed(workspace, held.preview_id)
        _, decide_by = await self._scripts.call(
            "hold", keys, *held[:13], entry, channel, *held.needs
        )
        return int(decide_by)

    async def decide(
        self, workspace: str, preview_id: str, vote: Vote
    ) -> Decided | Ended | OwnRequest | DigestMismatch | NoApproval:
        """Approve or deny. Whether the approver may decide at all was checked before."""
        answer = await self._scripts.call(
            "decide",
            [*_keys(workspace, preview_id), names.notices(workspace)],
            preview_id,
            vote.digest,
            vote.decider.subject,
            msgspec.json.encode(vote.decider),
            msgspec.json.encode(vote.makers),
            vote.entry,
            names.changed(workspace, preview_id),
            *vote.rules,
        )
        match answer:
            case [b"decided", state]:
                return Decided(approval_state(state))
            case [b"ended", state]:
                return Ended(approval_state(state))
            case [b"own"]:
                return OwnRequest()
            case [b"mismatch", of]:
                return DigestMismatch(of.decode())
            case [b"no_approval"]:
                return NoApproval()
            case other:
                raise UnknownAnswer(other)

    async def withdraw(
        self, workspace: str, preview_id: str, entry: bytes, *, by: str, outdated: bool = False
    ) -> Withdrawn | Ended | Executed | NoApproval:
        """Give the approval up before its preview is executed. `by`: a subject."""
        answer = await self._scripts.call(
            "withdraw",
            _keys(workspace, preview_id),
            preview_id,
            "outdated" if outdated else "given_up",
            entry,
            names.changed(workspace, preview_id),
            by,
        )
        match answer:
            case [b"withdrawn", state]:
                return Withdrawn(approval_state(state))
            case [b"ended", state]:
                return Ended(approval_state(state))
            case [b"spent", run_id]:
                return Executed(run_id.decode())
            case [b"no_approval"]:
                return NoApproval()
            case other:
                raise UnknownAnswer(other)

    async def find(self, workspace: str, preview_id: str) -> Approval | NoApproval:
        keys = [names.approval(workspace, preview_id), names.preview(workspace, preview_id)]
        match await self._scripts.call("approval", keys):
            case [b"approval", now_ms, state, run_id, fields]:
                return _approval(preview_id, now_ms, approval_state(state), run_id.decode(), fields)
            case [b"no_approval"]:
                return NoApproval()
            case other:
                raise UnknownAnswer(other)

    async def pending(
        self, workspace: str, *, limit: int, before: tuple[int, str] | None = None
    ) -> list[tuple[str, int]]:
        """The ids and deadlines of what waits for a decision, the latest deadline first. `before`:
        the deadline and the id of the last one of the page before.
        """
        after = before or ("+inf", "")
        _, *found = await self._scripts.call("pending", [names.pending(workspace)], limit, *after)
        return [(held.decode(), at) for held, at in zip(found[::2], found[1::2], strict=True)]


def _keys(workspace: str, preview_id: str) -> list[str]:
    return [
        names.approval(workspace, preview_id),
        names.preview(workspace, preview_id),
        names.pending(workspace),
        names.outbox(workspace),
    ]


def approval_state(answer: bytes) -> State:
    return cast("State", answer.decode())


def _approval(
    preview_id: str, now_ms: int, state: State, run_id: str, fields: Sequence[bytes]
) -> Approval:
    record = {name.decode(): value for name, value in zip(fields[::2], fields[1::2], strict=True)}
    deciders = [
        msgspec.json.decode(value, type=Decider)
        for name, value in record.items()
        if name.startswith("by:")
    ]
    return Approval(
        preview_id=preview_id,
        state=state,
        digest=record["digest"].decode(),
        origin=record["origin"],
        requester=record["requester"].decode(),
        requester_key=record["requester_key"].decode(),
        requirement=Raw(record["requirement"]),
        deciders=sorted(deciders, key=lambda it: (it.at, it.subject)),
        left=[max(0, int(record[f"left:{n}"])) for n in range(1, int(record["rules"]) + 1)],
        requested_at_ms=int(record["at"]),
        decide_by_ms=int(record["decide_by"]),
        use_by_ms=int(record.get("use_by", 0)),
        now_ms=now_ms,
        doc=record.get("held"),
        run_id=run_id,
        ended_by=record.get("ended_by", b"").decode(),
    )
