"""Decide whether a preview needs an approval, and whose.

Order means nothing: all matching rules count and the strictest wins, so that no added rule can
weaken another. `default` holds only where no rule matches. A decision over 50 rules is a few
look-ups: for each attribute a bounded cache knows which rules a value satisfies, as bits.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from fnmatch import translate
from functools import lru_cache
from hashlib import sha256
from typing import Literal, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from gateway.approvals.policy_file import (
    Case,
    Matcher,
    Need,
    PolicyFile,
    PolicyRefused,
    PreviewFacts,
    Rule,
    parse,
)
from gateway.problems import FieldError
from gateway.timestamps import duration

# Values come from callers, and each workspace has a policy.
_VALUES = 256


class _Target(NamedTuple):
    """`paths`: as written, and as servers read it if that differs: percent-decoded, without dot
    segments and empty segments.
    """

    host: str
    paths: tuple[str, ...]


def _target(url: str) -> _Target:
    """`url` is one that the guard has accepted."""
    parts = urlsplit(url)
    path = parts.path or "/"
    read = path
    if "%" in path or "/." in path or "//" in path:
        read = posixpath.normpath("/" + unquote(path).lstrip("/"))
    return _Target((parts.hostname or "").rstrip("."), (path,) if read == path else (path, read))


class RuleNeed(Struct, frozen=True):
    """What one rule asks. `approvers` empty: every key that may decide."""

    rule: str
    approvals: int = 1
    approvers: tuple[str, ...] = ()
    reason: Literal["never", "deny", "always"] = "never"

    def counts(self, *, subject: str, key: str, role: str) -> bool:
        """Whether the approval of this caller counts for this rule."""
        names = (f"subject:{subject}", f"key:{key}", f"role:{role}")
        return not self.approvers or any(name in self.approvers for name in names)


class Requirement(Struct, frozen=True):
    """`denied_by`: the rules that deny. `needs`: one a matching rule; all must be met."""

    denied_by: tuple[str, ...] = ()
    needs: tuple[RuleNeed, ...] = ()
    decide_ms: int = 0
    use_ms: int = 0

    @property
    def allowed(self) -> bool:
        return not self.denied_by and not self.needs

    @property
    def approvals(self) -> int:
        """How many approvals the rule that asks for most needs."""
        return max((need.approvals for need in self.needs), default=0)

    def __and__(self, other: Self) -> "Requirement":
        """The strictest of both."""
        if self.allowed or other.allowed:
            return other if self.allowed else self
        return Requirement(
            denied_by=self.denied_by + other.denied_by,
            needs=self.needs + other.needs,
            decide_ms=_shortest(self.decide_ms, other.decide_ms),
            use_ms=_shortest(self.use_ms, other.use_ms),
        )


ALLOWED = Requirement()


class Policy:
    """A policy whose tests pass. `digest`: `sha256:<hex>` of its text."""

    def __init__(self, text: str) -> None:
        """Raises PolicyRefused."""
        file = parse(text)
        self.text = text
        self.digest = f"sha256:{sha256(text.encode()).hexdigest()}"
        self.tests = len(file.cases)
        self.rules = tuple(rule.name for rule in file.rules)
        self._when = _Table([rule.when for rule in file.rules])
        self._unless = _Table([rule.unless for rule in file.rules])
        self._requirements = [_requirement(rule) for rule in file.rules]
        self._default = _default(file)
        if errors := [it for n, case in enumerate(file.cases) for it in self._failures(n, case)]:
            raise PolicyRefused("A test of the policy fails.", errors=errors)

    def matching(self, given: PreviewFacts) -> list[int]:
        """The numbers of the rules that match, from 0."""
        target = _target(given.url)
        bits = self._when.satisfied(given, target, any)
        if bits:  # an exception has to hold for each form of the path
            bits &= ~self._unless.satisfied(given, target, all)
        return [number for number in range(bits.bit_length()) if bits >> number & 1]

    def requirement(self, given: PreviewFacts) -> Requirement:
        """What the matching rules ask together."""
        if not (matching := self.matching(given)):
            return self._default
        asked = ALLOWED
        for number in matching:
            asked &= self._requirements[number]
        return asked

    def _failures(self, number: int, case: Case) -> list[FieldError]:
        asked, wanted = self.requirement(case.given), case.expect
        found = None if asked.denied_by else asked.approvals
        if found == (None if wanted.deny else wanted.approvals):
            return []
        is_asked = "is denied" if found is None else f"needs {found} approvals"
        return [FieldError(f"/test/{number}", f"{case.name}: this preview {is_asked}.")]


class _Table:
    """Which rules a preview satisfies, as bits. A rule without a matcher is never satisfied."""

    def __init__(self, matchers: Sequence[Matcher | None]) -> None:
        self._given = _bits(it is not None for it in matchers)
        known = [it or Matcher() for it in matchers]
        self._action = _column([it.actions for it in known])
        self._method = _column([[text.upper() for text in it.methods] for it in known])
        self._host = _column([[_host_pattern(text) for text in it.hosts] for it in known])
        self._role = _column([it.roles for it in known])
        self._requester = _column([it.requesters for it in known])
        self._kind = _column([it.kinds for it in known])
        self._warned = [_bits(it.warned in (None, was) for it in known) for was in (False, True)]
        self._sizes = [(n, it.body_over) for n, it in enumerate(known) if it.body_over is not None]
        self._paths = [(n, _pattern(it.paths)) for n, it in enumerate(known) if it.paths]

    def satisfied(
        self, given: PreviewFacts, target: _Target, every: Callable[[Iterable[object]], bool]
    ) -> int:
        """`every`: `all` or `any` of the forms of the path must match."""
        bits = self._given & self._action(given.action) & self._method(given.method)
        bits &= self._host(target.host) & self._warned[given.warned]
        if not bits:
            return 0
        bits &= self._role(given.role) & self._requester(given.requester) & self._kind(given.kind)
        for number, size in self._sizes:
            if given.body_bytes <= size:
                bits &= ~(1 << number)
        for number, pattern in self._paths:
            if bits >> number & 1 and not every(map(pattern.match, target.paths)):
                bits &= ~(1 << number)
        return bits


def _column(rows: Sequence[Sequence[str]]) -> Callable[[str], int]:
    """The rules whose patterns a value matches; a rule without patterns matches every value."""
    patterns = [_pattern(texts) if texts else None for texts in rows]

    @lru_cache(_VALUES)
    def satisfied(value: str) -> int:
        return _bits(not pattern or pattern.match(value) for pattern in patterns)

    return satisfied


def _bits(rules: Iterable[object]) -> int:
    return sum(1 << number for number, satisfied in enumerate(rules) if satisfied)


def _pattern(texts: Sequence[str]) -> re.Pattern[str]:
    """Fnmatch's expressions take linear time; character classes are not part of the format."""
    return re.compile("|".join(translate(text.replace("[", "[[]")) for text in texts))


def _host_pattern(text: str) -> str:
    """As the guard writes a host: in lower case, without the final dot, IDNA in ASCII."""
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode()
        for label in text.lower().rstrip(".").split(".")
    )


def _requirement(rule: Rule) -> Requirement:
    if rule.need is None:
        return Requirement(denied_by=(rule.name,))
    need = rule.need
    asked = RuleNeed(
        rule=rule.name,
        approvals=need.approvals,
        approvers=need.approvers,
        reason=need.reason,
    )
    return Requirement(
        needs=(asked,),
        decide_ms=_ms(need.within),
        use_ms=_ms(need.use_within),
    )


def _default(file: PolicyFile) -> Requirement:
    match file.default:
        case "allow":
            return ALLOWED
        case "approve":
            return _requirement(Rule("default", need=Need()))
        case "deny":
            return Requirement(denied_by=("default",))


def _ms(text: str) -> int:
    return duration(text) // timedelta(milliseconds=1)


def _shortest(one: int, other: int) -> int:
    """0 where a rule only denies."""
    return min(one, other) or max(one, other)
