"""Decide whether a preview needs an approval, and whose.

Order means nothing: all matching rules count and the strictest wins, so that no added rule can
weaken another. `default` holds only where no rule matches. A decision over 50 rules is a few
look-ups, as bits of the rules that a value satisfies.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from fnmatch import translate
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple, Self
from unicodedata import normalize
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
from gateway.problem import FieldError
from gateway.timestamps import duration
from stores.approvals import RuleNeed

# Values come from callers, and each workspace has a policy.
_VALUES = 64
_WILD = re.compile(r"[*?]")


# Servers behind proxies decode a path twice; to decode it more often would only take time.
_READINGS = 3


class _Target(NamedTuple):
    """`paths`: as written, and as servers may read it if that differs."""

    host: str
    paths: tuple[str, ...]


def _target(url: str) -> _Target:
    """`url` is one that the guard has accepted."""
    if plain := _PLAIN.fullmatch(url):  # where urlsplit finds the same, in a fifth of the time
        host, path = plain.groups()
    else:
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path
    paths = [path or "/"]
    while _READ.search(paths[-1]) and len(paths) <= _READINGS:
        if (read := _read(paths[-1])) == paths[-1]:
            break
        paths.append(read)
    return _Target(host.rstrip("."), tuple(paths))


_PLAIN = re.compile(
    r"https?://([a-z0-9.-]+)(?::\d{1,5})?(/[\w./~-]*)?(?:\?[\w./~=&%-]*)?", re.ASCII
)
_READ = re.compile(r"[%;]|/[./]|./$")


def _read(path: str) -> str:
    """Percent-decoded once, and without parameters of segments, dot segments, empty segments and
    the last slash.
    """
    plain = re.sub(r";[^/]*", "", unquote(path))
    return posixpath.normpath("/" + plain.lstrip("/"))


class Requirement(Struct, frozen=True):
    """`denied_by`: the rules that deny. `needs`: one a matching rule; all must be met.
    `remind_ms`: 0 for no reminder. `escalate`: channels that get it too. `remember_ms`: how long
    what is approved is kept for comparison.
    """

    denied_by: tuple[str, ...] = ()
    needs: tuple[RuleNeed, ...] = ()
    decide_ms: int = 0
    use_ms: int = 0
    remind_ms: int = 0
    escalate: tuple[str, ...] = ()
    remember_ms: int = 0

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
            remind_ms=_shortest(self.remind_ms, other.remind_ms),
            escalate=tuple(dict.fromkeys(self.escalate + other.escalate)),
            remember_ms=max(self.remember_ms, other.remember_ms),
        )


ALLOWED = Requirement()


class Policy:
    """A policy whose tests pass. `digest`: `sha256:<hex>` of its text."""

    def __init__(self, text: str, file: PolicyFile | None = None) -> None:
        """`file`: what the text holds, where it was parsed before. Raises PolicyRefused."""
        file = file or parse(text)
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
        self._action = _Column([it.actions for it in known]).satisfied
        self._method = _Column([[text.upper() for text in it.methods] for it in known]).satisfied
        self._host = _Column([[_host_pattern(text) for text in it.hosts] for it in known]).satisfied
        self._role = _Column([it.roles for it in known]).satisfied
        self._requester = _Column([it.requesters for it in known]).satisfied
        self._connection = _Column([[it.casefold() for it in its.connections] for its in known])
        self._anyone = _bits(not it.connections for it in known)
        self._kind = _Column([it.kinds for it in known]).satisfied
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
        bits &= self._sent_as(given)
        for number, size in self._sizes:
            if given.body_bytes <= size:
                bits &= ~(1 << number)
        for number, pattern in self._paths:
            if bits >> number & 1 and not every(map(pattern.match, target.paths)):
                bits &= ~(1 << number)
        return bits

    def _sent_as(self, given: PreviewFacts) -> int:
        bits = self._anyone
        for name in filter(None, (given.connection, given.label, given.account)):
            bits |= self._connection.satisfied(name.casefold())
        return bits


class _Column:
    """The rules whose patterns a value matches; a rule without patterns matches every value.

    Names and `*.name` are looked up, however many rules have one; other patterns are tried.
    """

    def __init__(self, rows: Sequence[Sequence[str]]) -> None:
        self._every = _bits(not texts or "*" in texts for texts in rows)
        self._names: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self._tried: list[tuple[int, re.Pattern[str]]] = []
        for number, texts in enumerate(rows):
            if tried := [text for text in texts if not self._index(text, 1 << number)]:
                self._tried.append((1 << number, _pattern(tried)))
        self.satisfied = lru_cache(_VALUES)(self._satisfied)

    def _index(self, text: str, bit: int) -> bool:
        end = text.removeprefix("*.")
        if _WILD.search(end):
            return False
        index, key = (self._names, text) if end == text else (self._ends, text[1:])
        index[key] = index.get(key, 0) | bit
        return True

    def _satisfied(self, value: str) -> int:
        bits = self._every | self._names.get(value, 0)
        dot = value.find(".") if self._ends else -1
        while dot >= 0:
            bits |= self._ends.get(value[dot:], 0)
            dot = value.find(".", dot + 1)
        return bits | sum(bit for bit, pattern in self._tried if pattern.match(value))


def _bits(rules: Iterable[object]) -> int:
    return sum(1 << number for number, satisfied in enumerate(rules) if satisfied)


def _pattern(texts: Sequence[str]) -> re.Pattern[str]:
    """Fnmatch's expressions take linear time; character classes are not part of the format."""
    return re.compile("|".join(translate(text.replace("[", "[[]")) for text in texts))


def _host_pattern(text: str) -> str:
    """As the guard writes a host: in lower case, without the final dot, IDNA in ASCII."""
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode()
        for label in normalize("NFKC", text.lower()).rstrip(".").split(".")
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
        remind_ms=_ms(need.remind) if need.remind else 0,
        escalate=need.escalate,
        remember_ms=_ms(rule.remember),
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
    """0 where a rule has none."""
    return min(one, other) or max(one, other)
