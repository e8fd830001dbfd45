"""Approvals as text: the very bytes, never cut, with every character spelled out that a reader
cannot see, that reorders what the reader sees, or that a terminal obeys.

A spelled character looks like `<U+202E>`; a text that looks so itself begins with `<U+003C>`. Every
line of the request has a margin, also where a terminal would break it, so that none can pass for a
line of Relay's.
"""

import re
import shutil
import sys
from base64 import b64decode
from collections.abc import Iterator
from hashlib import sha256

import click
from msgspec import UNSET
from rich.cells import chop_cells

from gateway.api.deciding.approvals import ApprovalBody
from gateway.api.deciding.listed import RuleState
from gateway.execution.documents import Wire
from gateway.execution.hidden_characters import HIDDEN

# Printable as Unicode counts it, but empty to a reader, or joined to what stands before.
ALSO_HIDDEN = frozenset("\u034f\u2800\ufe0f\U0001d159")
LINE, REST_OF_LINE = "| ", "> "
REASONS = {"never": "", "deny": "; a denial needs a reason", "always": "; needs a reason"}


def spelled(text: str) -> str:
    """One line of text that is safe to print; two different texts never look the same."""
    return re.sub(r"<(?=U\+)|.", _spelled, text, flags=re.DOTALL)


def _spelled(found: re.Match[str]) -> str:
    letter = found[0]
    seen = letter.isprintable() and letter != "<" and letter not in ALSO_HIDDEN
    if (seen and not HIDDEN.match(letter)) or (letter == "<" and not _looks_spelled(found)):
        return letter
    return f"<U+{ord(letter):04X}>"


def _looks_spelled(found: re.Match[str]) -> bool:
    return found.string.startswith("<U+", found.start())


def wire_bytes(wire: Wire) -> bytes:
    """What the digest covers. Raises ValueError."""
    if (wire.body is UNSET) == (wire.body_base64 is UNSET):
        raise ValueError("the request has no body, or two")
    head = wire.head.encode()
    if wire.body_base64 is not UNSET:
        return head + b64decode(wire.body_base64, validate=True)
    return head + (wire.body or "").encode()


def digest_of(wire: Wire) -> str:
    """Computed from what is printed. Raises ValueError."""
    return f"sha256:{sha256(wire_bytes(wire)).hexdigest()}"


def print_approval(approval: ApprovalBody) -> None:
    """What is asked, and the request."""
    for line in (*_asked(approval), *_request(approval.wire)):
        for part in folded(line, terminal_width()):
            click.echo(part)


def _asked(approval: ApprovalBody) -> Iterator[str]:
    yield f"preview  {spelled(approval.preview_id)}, {spelled(approval.state)}"
    yield f"action   {spelled(approval.action)}: {spelled(approval.summary or '-')}"
    if approval.account:
        connection = spelled(approval.connection or "-")
        yield f"sent as  {spelled(approval.account)}, with the connection {connection}"
    yield f"asked by {spelled(approval.requester)}, at {spelled(approval.requested_at)}"
    yield f"due      {spelled(approval.decide_by)}"
    for rule in approval.rules:
        yield f"rule     {_rule(rule)}"
    for it in approval.deciders:
        said = f": {spelled(it.reason)}" if it.reason else ""
        who = f"{spelled(it.subject)} ({spelled(it.role)}, key {spelled(it.key)})"
        yield f"decision {spelled(it.decision)} by {who} at {spelled(it.decided_at)}{said}"
    for warning in approval.warnings:
        yield f"WARNING  {spelled(warning)}"
    yield f"digest   {spelled(approval.digest)}"


def _rule(rule: RuleState) -> str:
    who = ", ".join(map(spelled, rule.approvers)) or "every key that may decide"
    missing = f"{rule.left} of {rule.approvals} approvals missing"
    return f"{spelled(rule.rule)}: {missing}; from {who}{REASONS.get(rule.reason, '')}"


def _request(wire: Wire | None) -> Iterator[str]:
    if wire is None:
        yield "The request is not kept any more."
        return
    yield "head:"
    yield from _margined(wire.head.removesuffix("\n\n"))
    if wire.body_base64 is not UNSET:
        yield "body, in base64 because its bytes are not UTF-8:"
        yield from _margined(wire.body_base64)
    elif wire.body:
        yield f"body, {len(wire.body.encode())} bytes:"
        yield from _margined(wire.body)
    else:
        yield "no body"


def _margined(text: str) -> Iterator[str]:
    return (LINE + spelled(line) for line in text.split("\n"))


def terminal_width() -> int:
    """0 where the output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def folded(line: str, width: int) -> Iterator[str]:
    """The parts of a printable line that fit into `width` cells, if that is not 0."""
    if width <= 2 * len(REST_OF_LINE):
        yield line
        return
    first = chop_cells(line, width)[:1] or [""]
    yield first[0]
    rest = line[len(first[0]) :]
    yield from (REST_OF_LINE + part for part in chop_cells(rest, width - len(REST_OF_LINE)))
