"""Which recorded runs a policy would have asked about, judged by what the audit keeps of them.

The audit keeps no path, no size of a body and no query. A rule that looks at those may or may not
match: it counts only as possible.
"""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.approvals.policy import Policy, Requirement
from gateway.approvals.policy_file import PreviewFacts, Rule, parse

if TYPE_CHECKING:
    from stores.audit.pages import Selection
    from stores.audit.signatures import Recorded
    from stores.sql.database import Database

PAGE = 500
Answer = Literal["allowed", "asked", "denied", "possible"]


class Replayed(Struct, kw_only=True):
    """`runs`: how many were judged. `rules`: how many each rule asks about or denies, for sure."""

    runs: int = 0
    allowed: int = 0
    asked: int = 0
    denied: int = 0
    possible: int = 0
    rules: dict[str, int] = msgspec.field(default_factory=dict)


class Replay:
    def __init__(self, text: str) -> None:
        """Raises PolicyRefused."""
        Policy(text)  # its own tests
        file = replace(parse(text), cases=())
        sure = tuple(rule for rule in file.rules if not _unknown(rule))
        self._sure = Policy(text, replace(file, rules=sure))
        self._possible = Policy(text, replace(file, rules=tuple(map(_widened, file.rules))))
        self._counted: Counter[str] = Counter()
        self._rules: Counter[str] = Counter()

    def judge(self, facts: PreviewFacts) -> Answer:
        """`possible`: rules may match of which the audit does not tell. `asked` may also be denied
        by such a rule.
        """
        sure = [self._sure.rules[number] for number in self._sure.matching(facts)]
        answer: Answer = "possible"
        if sure or not self._possible.matching(facts):
            answer = _answer(self._sure.requirement(facts))
        self._rules.update(sure)
        self._counted[answer] += 1
        return answer

    def result(self) -> Replayed:
        rules = dict(sorted(self._rules.items()))
        return Replayed(runs=self._counted.total(), rules=rules, **self._counted)


async def selected(database: "Database", workspace: str, *, since_ms: int) -> int:
    """At most how many entries `replayed` reads. Raises DatabaseUnavailable."""
    from stores.audit.pages import entries_spanned

    async with database.connect() as connection:
        return await entries_spanned(connection, _selection(workspace, since_ms))


async def replayed(
    database: "Database",
    workspace: str,
    text: str,
    *,
    since_ms: int,
    progress: Callable[[int], object],
) -> Replayed:
    """Raises PolicyRefused and DatabaseUnavailable. `progress` gets how many entries it passed."""
    from stores.audit.pages import rows_after

    replay, selection, last = Replay(text), _selection(workspace, since_ms), None
    async with database.connect() as connection:
        while rows := await rows_after(connection, selection, last, limit=PAGE):
            for row in rows:
                if (entry := row.recorded).host:  # older releases kept none
                    replay.judge(_facts(entry))
            progress(rows[-1].seq - (last or rows[0].seq - 1))
            last = rows[-1].seq
    return replay.result()


def _selection(workspace: str, since_ms: int) -> "Selection":
    from stores.audit.pages import Selection
    from stores.sql.runs import Filter

    return Selection(workspace, Filter(since_ms=since_ms), ("run.intended",))


def _facts(entry: "Recorded") -> PreviewFacts:
    return PreviewFacts(
        action=entry.action,
        method=entry.method,
        url=f"https://{entry.host}/",
        role=entry.role,
        requester=entry.requester,
        kind="test" if entry.kind == "test" else "live",
        warned=entry.warned,
        connection=entry.connection,
        label=entry.label,
        account=entry.account,
    )


def _answer(asked: Requirement) -> Answer:
    if asked.denied_by:
        return "denied"
    return "asked" if asked.needs else "allowed"


def _unknown(rule: Rule) -> bool:
    """Whether a matcher looks at what the audit does not keep."""
    return any(it and (it.paths or it.body_over is not None) for it in (rule.when, rule.unless))


def _widened(rule: Rule) -> Rule:
    """The rule as if each unknown fact matched, and no unknown exception held."""
    unless = rule.unless
    if unless and (unless.paths or unless.body_over is not None):
        unless = None
    when = replace(rule.when, paths=(), body_over=None)
    return replace(rule, when=when, unless=unless)
