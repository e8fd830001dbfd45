"""What an approver sees is the whole request, and nothing that deceives the eye or the terminal."""

from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from rich.cells import cell_len

from gateway.api.deciding.approvals import ApprovalBody
from gateway.cli.approvals.shown import (
    LINE,
    REST_OF_LINE,
    digest_of,
    folded,
    print_approval,
    spelled,
)
from gateway.effects import Effect
from gateway.execution.documents import Wire, wire_of
from gateway.execution.hidden_characters import HIDDEN

HEAD = "POST https://bank.example/refunds\ncontent-type: text/plain\n\n"


def approval(wire: Wire | None, **given: Any) -> ApprovalBody:
    made: dict[str, Any] = {
        "preview_id": "p-1",
        "state": "pending",
        "action": "webhook.save",
        "provider": "independent",
        "summary": "POST",
        "digest": "sha256:0",
        "requester": "agent",
        "requester_key": "k-agent",
        "rules": [],
        "deciders": [],
        "requested_at": "2026-11-27T03:00:00.000Z",
        "decide_by": "2026-11-27T04:00:00.000Z",
        "use_by": None,
        "run_id": None,
        "warnings": [],
        "wire": wire,
        "request_id": "r",
    }
    return msgspec.convert({**made, **given}, ApprovalBody)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢 😀", "plain é 漢 😀"),
        ("pay\u202etxt", "pay<U+202E>txt"),
        ("zero\u200bwidth", "zero<U+200B>width"),
        ("tag\U000e0041", "tag<U+E0041>"),
        ("\x1b[2J\x07\x9b1m\x7f", "<U+001B>[2J<U+0007><U+009B>1m<U+007F>"),
        ("a\tb\r\n", "a<U+0009>b<U+000D><U+000A>"),
        ("no\u00a0break\u3000", "no<U+00A0>break<U+3000>"),
        ("\u3164\u115f\u2800\u034f\ufe0f", "<U+3164><U+115F><U+2800><U+034F><U+FE0F>"),
        ("<U+202E>", "<U+003C>U+202E>"),
        ("a < b <U", "a < b <U"),
        ("\ue000\U0010ffff\u0378", "<U+E000><U+10FFFF><U+0378>"),
    ],
)
def test_what_cannot_be_seen_is_spelled(text: str, shown: str) -> None:
    assert spelled(text) == shown


@given(st.text(), st.text())
def test_two_texts_never_look_the_same(one: str, other: str) -> None:
    """And nothing is printed that is hidden or that a terminal obeys."""
    assert (spelled(one) == spelled(other)) == (one == other)
    assert spelled(one).isprintable()
    assert not HIDDEN.search(spelled(one))


@given(st.binary(), st.dictionaries(st.from_regex("[a-z]{1,9}", fullmatch=True), st.just("v")))
def test_the_digest_is_that_of_the_request(body: bytes, headers: dict[str, str]) -> None:
    """Whether or not the body is text."""
    effect = Effect(method="POST", url="https://a/", headers=headers, body=body, summary="")
    assert digest_of(wire_of(effect)) == effect.digest


@pytest.mark.parametrize(
    "wire",
    [
        Wire(head=HEAD),
        Wire(head=HEAD, body="a", body_base64="YQ=="),
        Wire(head=HEAD, body_base64="Y!Q=="),
    ],
)
def test_a_request_that_is_not_clear_has_no_digest(wire: Wire) -> None:
    with pytest.raises(ValueError, match=r"body|base64"):
        digest_of(wire)


def test_the_request_is_shown_to_its_last_byte(capsys: pytest.CaptureFixture[str]) -> None:
    """However long; a line of it cannot pass for a line of Relay's."""
    forged = "x" * 200_000 + "\ndigest   sha256:1\n\u202eend"
    print_approval(approval(Wire(head=HEAD, body=forged)))
    shown = capsys.readouterr().out.splitlines()
    body = shown[shown.index(f"body, {len(forged.encode())} bytes:") + 1 :]
    assert body == [LINE + "x" * 200_000, LINE + "digest   sha256:1", LINE + "<U+202E>end"]
    assert [line for line in shown if line.startswith("digest")] == ["digest   sha256:0"]


@given(st.text(), st.integers(5, 40))
def test_a_terminal_breaks_no_line_of_its_own(text: str, width: int) -> None:
    """Each part fits, wide letters included, and only the first begins without a margin."""
    line = spelled(text)
    first, *rest = folded(line, width)
    assert all(part.startswith(REST_OF_LINE) for part in rest)
    assert first + "".join(part.removeprefix(REST_OF_LINE) for part in rest) == line
    assert max(map(cell_len, (first, *rest))) <= width
    assert list(folded(line, 0)) == [line]


def test_a_request_that_is_gone_is_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_approval(approval(None, state="denied"))
    assert capsys.readouterr().out.endswith("\nThe request is not kept any more.\n")


def test_bytes_that_are_no_text_come_in_base64(capsys: pytest.CaptureFixture[str]) -> None:
    wire = Wire(head=HEAD, body=UNSET, body_base64="//4=")
    print_approval(approval(wire))
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "body, in base64 because its bytes are not UTF-8:",
        LINE + "//4=",
    ]
    assert digest_of(wire) == f"sha256:{sha256(HEAD.encode() + bytes([255, 254])).hexdigest()}"


def test_no_field_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """Summary, names, reasons, warnings and headers are others' words."""
    bad = "\x1b[1A\u202e\n"
    decider = {"subject": bad, "key": bad, "role": bad, "decision": "deny", "reason": bad}
    rule = {"rule": bad, "approvals": 1, "approvers": [bad], "reason": "deny", "left": 1}
    given = {"summary": bad, "requester": bad, "warnings": [bad], "digest": bad}
    print_approval(
        approval(
            Wire(head=f"POST https://a/\nx: {bad.strip()}\n\n", body=""),
            rules=[rule],
            deciders=[{**decider, "decided_at": bad}],
            **given,
        )
    )
    shown = capsys.readouterr().out
    assert shown.count("<U+001B>[1A<U+202E>") == 12
    assert not set("\x1b\u202e") & set(shown)
    assert "| x: <U+001B>[1A<U+202E>\nno body\n" in shown
