"""The text of a policy: TOML rules that say which previews need an approval, with their own tests.

A policy that is unclear is refused as a whole: unknown members, rules that can never be met, and
tests that fail. An empty matcher matches everything; a pattern may hold `*` and `?`.
"""

import re
import tomllib
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from gateway.access.roles import ROLES
from gateway.problems import FieldError, pointer, validation_detail
from gateway.timestamps import duration

LONGEST_TEXT = 64 * 1024
LONGEST_WAIT = timedelta(hours=24)

Pattern = Annotated[str, Meta(min_length=1, max_length=256)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class PolicyRefused(Exception):
    """The policy cannot be used. `errors`: each place that is wrong."""

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.errors = errors


class Matcher(Struct, frozen=True, forbid_unknown_fields=True):
    """All that is given must match; of several patterns one. `body_over`: bytes. `paths` leave out
    the query. `requesters`: subjects. `warned`: whether the preview has warnings.
    """

    actions: tuple[Pattern, ...] = ()
    hosts: tuple[Pattern, ...] = ()
    paths: tuple[Pattern, ...] = ()
    methods: tuple[Pattern, ...] = ()
    roles: tuple[Pattern, ...] = ()
    requesters: tuple[Pattern, ...] = ()
    kinds: tuple[Literal["live", "test"], ...] = ()
    body_over: Annotated[int, Meta(ge=0)] | None = None
    warned: bool | None = None


class Need(Struct, frozen=True, forbid_unknown_fields=True):
    """`approvers`: `role:<role>`, `key:<id>` or `subject:<name>`; without any, every key that may
    decide. `reason`: when the approver has to give one.
    """

    approvals: Annotated[int, Meta(ge=1, le=10)] = 1
    approvers: tuple[Pattern, ...] = field(default=(), name="from")
    within: str = "1h"
    use_within: str = "15m"
    reason: Literal["never", "deny", "always"] = "never"


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    when: Matcher = Matcher()
    unless: Matcher | None = None
    need: Need | None = None
    deny: bool = False


class PreviewFacts(Struct, frozen=True, forbid_unknown_fields=True):
    """What a policy may know of a preview. `requester`: a subject."""

    action: str
    method: str
    url: str
    role: str = "operator"
    requester: str = "requester"
    kind: Literal["live", "test"] = "live"
    body_bytes: int = 0
    warned: bool = False


class Expected(Struct, frozen=True, forbid_unknown_fields=True):
    """Either a number of approvals, 0 for none, or `deny`."""

    approvals: Annotated[int, Meta(ge=0)] | None = None
    deny: bool = False


class Case(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    given: PreviewFacts
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
        parsed = msgspec.convert(tomllib.loads(text), PolicyFile)
    except tomllib.TOMLDecodeError as error:
        raise PolicyRefused(f"The policy is no TOML: {error}.") from None
    except msgspec.ValidationError as error:
        where, detail = validation_detail(error)
        raise PolicyRefused(
            "The policy has a wrong member.", errors=[FieldError(where, detail)]
        ) from None
    if errors := [*_rule_errors(parsed.rules), *_case_errors(parsed.cases)]:
        raise PolicyRefused("The policy has a rule that cannot be meant.", errors=errors)
    return parsed


def _rule_errors(rules: Sequence[Rule]) -> list[FieldError]:
    errors = []
    for number, rule in enumerate(rules):
        here = pointer("rule", str(number))
        if any(rule.name == other.name for other in rules[:number]):
            errors.append(FieldError(here + "/name", "Another rule has this name."))
        if rule.deny == (rule.need is not None):
            errors.append(FieldError(here, "A rule has either `need` or `deny = true`."))
        if rule.unless == Matcher():
            errors.append(FieldError(here + "/unless", "It would except everything."))
        if rule.need:
            errors += _need_errors(rule.need, here + "/need")
    return errors


_NO_DURATION = "This is no duration like 90s, 30m or 1h30m."


def _need_errors(need: Need, here: str) -> list[FieldError]:
    errors = [
        FieldError(f"{here}/{member}", f"{_NO_DURATION} It is at most 24h and longer than 0.")
        for member, text in (("within", need.within), ("use_within", need.use_within))
        if not _within_limit(text)
    ]
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


def _within_limit(text: str) -> bool:
    try:
        return timedelta() < duration(text) <= LONGEST_WAIT
    except (ValueError, OverflowError):
        return False


def _approver(text: str) -> bool:
    kind, _, name = text.partition(":")
    return (kind == "role" and name in ROLES) or (
        kind in ("key", "subject") and bool(re.fullmatch(r"[A-Za-z0-9._@+-]{1,64}", name))
    )


def _case_errors(cases: Sequence[Case]) -> list[FieldError]:
    return [
        FieldError(
            pointer("test", str(number), "expect"),
            "A test expects either `approvals` or `deny = true`.",
        )
        for number, case in enumerate(cases)
        if case.expect.deny == (case.expect.approvals is not None)
    ]
