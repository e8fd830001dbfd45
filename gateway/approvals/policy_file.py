"""The text of a policy: TOML rules that say which previews need an approval, with their own tests.

A policy that is unclear is refused as a whole: unknown members, rules that can never be met,
patterns that match no preview, and tests that fail. An empty matcher matches everything; a pattern
may hold `*` and `?`.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct, field

from gateway.access.roles import ROLES
from gateway.problem import FieldError, pointer, validation_detail
from gateway.timestamps import duration

LONGEST_TEXT = 64 * 1024
# To compile so many takes 0.2 s, in which the gateway answers no request.
RULES_MAX, PATTERNS_MAX = 500, 2000
# The parser's time grows with the square of the parts of a dotted key.
KEY_PARTS_MAX = 50
LONGEST_WAIT = timedelta(hours=24)
LONGEST_MEMORY = timedelta(days=90)

Pattern = Annotated[str, Meta(min_length=1, max_length=256)]
# The subject of a person that an identity-aware proxy signed in has the issuer in it.
Approver = Annotated[str, Meta(min_length=1, max_length=400)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class PolicyRefused(Exception):
    """The policy cannot be used. `errors`: each place that is wrong."""

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.errors = errors


class Matcher(Struct, frozen=True, forbid_unknown_fields=True):
    """All that is given must match; of several patterns one. `body_over`: bytes. `paths` leave out
    the query. `requesters`: subjects. `connections`: as whom it is sent, by the id, the label or
    the account of the connection; upper and lower case are alike, and a preview without a
    connection matches none. `warned`: whether the preview has warnings.
    """

    actions: tuple[Pattern, ...] = ()
    hosts: tuple[Pattern, ...] = ()
    paths: tuple[Pattern, ...] = ()
    methods: tuple[Pattern, ...] = ()
    roles: tuple[Pattern, ...] = ()
    requesters: tuple[Pattern, ...] = ()
    connections: tuple[Pattern, ...] = ()
    kinds: tuple[Literal["live", "test"], ...] = ()
    body_over: Annotated[int, Meta(ge=0)] | None = None
    warned: bool | None = None


class Need(Struct, frozen=True, forbid_unknown_fields=True):
    """`approvers`: `role:<role>`, `key:<id>` or `subject:<name>`, of a person that a proxy signed
    in `subject:oidc:<issuer>|<sub>`; without any, every key that may
    decide. `reason`: when the approver has to give one. `remind`: after how long approvers are
    reminded, once; `escalate`: names of channels that get this reminder too.
    """

    approvals: Annotated[int, Meta(ge=1, le=10)] = 1
    approvers: tuple[Approver, ...] = field(default=(), name="from")
    within: str = "1h"
    use_within: str = "15m"
    remind: str | None = None
    escalate: tuple[Name, ...] = ()
    reason: Literal["never", "deny", "always"] = "never"


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """`remember`: how long the last approved request of its kind is kept, for comparison."""

    name: Name
    when: Matcher = Matcher()
    unless: Matcher | None = None
    need: Need | None = None
    deny: bool = False
    remember: str = "0d"


class PreviewFacts(Struct, frozen=True, forbid_unknown_fields=True):
    """What a policy may know of a preview. `requester`: a subject. `connection`: an id."""

    action: str
    method: str
    url: str
    role: str = "operator"
    requester: str = "requester"
    kind: Literal["live", "test"] = "live"
    body_bytes: int = 0
    warned: bool = False
    connection: str = ""
    label: str = ""
    account: str = ""


class StatedFacts(PreviewFacts, frozen=True, forbid_unknown_fields=True):
    """Facts that a person states. They are such as a preview has, or no rule would match them."""

    def __post_init__(self) -> None:
        url = urlsplit(self.url)
        if not (self.url.isascii() and url.hostname and url.scheme in ("http", "https")):
            raise ValueError("The URL is not like https://host/path in ASCII")
        if not self.method.isupper():
            raise ValueError("The method is not in upper case")


class Expected(Struct, frozen=True, forbid_unknown_fields=True):
    """Either a number of approvals, 0 for none, or `deny`."""

    approvals: Annotated[int, Meta(ge=0)] | None = None
    deny: bool = False


class Case(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    given: StatedFacts
    expect: Expected


class PolicyFile(Struct, frozen=True, forbid_unknown_fields=True):
    default: Literal["allow", "approve", "deny"] = "allow"
    rules: tuple[Rule, ...] = field(default=(), name="rule")
    cases: tuple[Case, ...] = field(default=(), name="test")


def parse(text: str) -> PolicyFile:
    """Raises PolicyRefused, which names each place that is wrong."""
    if len(text.encode()) > LONGEST_TEXT:
        raise PolicyRefused(f"The policy has more than {LONGEST_TEXT // 1024} KiB.")
    try:
        parsed = msgspec.convert(_loaded(text), PolicyFile)
    except msgspec.ValidationError as error:
        where, detail = validation_detail(error)
        raise PolicyRefused(
            "The policy has a wrong member.", errors=[FieldError(where, detail)]
        ) from None
    _check_size(parsed.rules)
    if errors := [*_rule_errors(parsed.rules), *_case_errors(parsed.cases)]:
        raise PolicyRefused("The policy has a rule that cannot be meant.", errors=errors)
    return parsed


def _loaded(text: str) -> object:
    """Raises PolicyRefused."""
    if any(_key_parts(run) > KEY_PARTS_MAX for run in re.split(r"""[^\w"'\- \t.]+""", text)):
        raise PolicyRefused(f"The policy has a key of more than {KEY_PARTS_MAX} parts.")
    try:
        return tomllib.loads(text)
    except ValueError as error:  # of an integer with too many digits, too
        raise PolicyRefused(f"The policy is no TOML: {error}.") from None
    except RecursionError:
        raise PolicyRefused("The policy is nested too deeply.") from None


def _key_parts(run: str) -> int:
    return len(re.findall(r"""[\w"'-][ \t]*\.""", run))


def _check_size(rules: Sequence[Rule]) -> None:
    """Raises PolicyRefused."""
    patterns = sum(
        len(listed)
        for rule in rules
        for matcher in filter(None, (rule.when, rule.unless))
        for listed in (getattr(matcher, member) for member in _PATTERNS)
    )
    if len(rules) > RULES_MAX or patterns > PATTERNS_MAX:
        raise PolicyRefused(
            f"The policy has more than {RULES_MAX} rules or {PATTERNS_MAX} patterns."
        )


def _rule_errors(rules: Sequence[Rule]) -> list[FieldError]:
    errors, names = [], set[str]()
    for number, rule in enumerate(rules):
        here = pointer("rule", str(number))
        if rule.name in names:
            errors.append(FieldError(here + "/name", "Another rule has this name."))
        names.add(rule.name)
        if not rule.name.isprintable():
            errors.append(FieldError(here + "/name", "A name is printable, on one line."))
        errors += _matcher_errors(rule.when, here + "/when")
        errors += _matcher_errors(rule.unless or Matcher(), here + "/unless")
        if rule.deny == (rule.need is not None):
            errors.append(FieldError(here, "A rule has either `need` or `deny = true`."))
        if rule.unless == Matcher():
            errors.append(FieldError(here + "/unless", "It would except everything."))
        if not _rememberable(rule.remember):
            errors.append(FieldError(here + "/remember", f"{_NO_DURATION} It is at most 90d."))
        if rule.need:
            errors += _need_errors(rule.need, here + "/need")
    return errors


def _matcher_errors(matcher: Matcher, here: str) -> Iterator[FieldError]:
    """A rule with a pattern that matches nothing would look like a guard and be none."""
    for member, (possible, detail) in _POSSIBLE.items():
        for number, pattern in enumerate(getattr(matcher, member)):
            if not possible(pattern):
                yield FieldError(f"{here}/{member}/{number}", detail)


def _host(pattern: str) -> bool:
    """A name, or an address: those of IPv6 have more than one colon."""
    return not re.search(r"[\s/@#\[\]]", pattern) and pattern.count(":") != 1


def _one_of(values: Sequence[str]) -> Callable[[str], bool]:
    return lambda pattern: any(fnmatchcase(value, pattern.replace("[", "[[]")) for value in values)


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PATTERNS = ("actions", "hosts", "paths", "methods", "roles", "requesters", "connections")
_POSSIBLE: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "hosts": (_host, "A host stands here without scheme, port, brackets and path."),
    "paths": (lambda pattern: pattern[0] in "/*?", "A path begins with a slash."),
    "methods": (lambda pattern: _one_of(_METHODS)(pattern.upper()), "No method is like this."),
    "roles": (_one_of([*ROLES]), f"The roles are {', '.join(ROLES)}."),
}
_NO_DURATION = "This is no duration like 90s, 30m or 1h30m."


def _need_errors(need: Need, here: str) -> list[FieldError]:
    errors = [
        FieldError(f"{here}/{member}", f"{_NO_DURATION} It is at most 24h and longer than 0.")
        for member, text in (("within", need.within), ("use_within", need.use_within))
        if not _within_limit(text)
    ]
    errors += _reminder_errors(need, here)
    errors += [
        FieldError(f"{here}/from/{number}", "This is no role:<role>, key:<id> or subject:<name>.")
        for number, approver in enumerate(need.approvers)
        if not _approver(approver)
    ]
    named = set(need.approvers)
    if named and need.approvals > len(named) and not any(it.startswith("role:") for it in named):
        detail = f"{need.approvals} approvals cannot come from {len(named)}."
        errors.append(FieldError(here + "/approvals", detail))
    return errors


def _reminder_errors(need: Need, here: str) -> list[FieldError]:
    if need.remind is None:
        detail = "Escalation is a reminder to more channels: it needs `remind`."
        return [FieldError(f"{here}/escalate", detail)] if need.escalate else []
    if not _within_limit(need.remind):
        return [FieldError(f"{here}/remind", f"{_NO_DURATION} It is longer than 0.")]
    if _within_limit(need.within) and duration(need.remind) >= duration(need.within):
        return [FieldError(f"{here}/remind", "It is shorter than `within`.")]
    return []


def _within_limit(text: str) -> bool:
    try:
        return timedelta() < duration(text) <= LONGEST_WAIT
    except (ValueError, OverflowError):
        return False


def _rememberable(text: str) -> bool:
    try:
        return timedelta() <= duration(text) <= LONGEST_MEMORY
    except (ValueError, OverflowError):
        return False


def _approver(text: str) -> bool:
    kind, _, name = text.partition(":")
    if kind == "role":
        return name in ROLES
    named = r"[A-Za-z0-9._@+-]{1,64}" + (r"|oidc:[!-{}~]+\|[!-~]+" if kind == "subject" else "")
    return kind in ("key", "subject") and bool(re.fullmatch(named, name))


def _case_errors(cases: Sequence[Case]) -> list[FieldError]:
    return [
        FieldError(
            pointer("test", str(number), "expect"),
            "A test expects either `approvals` or `deny = true`.",
        )
        for number, case in enumerate(cases)
        if case.expect.deny == (case.expect.approvals is not None)
    ]
