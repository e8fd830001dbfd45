"""A 2xx whose body refuses is a failure, and one that cannot be judged is unknown."""

import json
from typing import Any

import pytest

from gateway.egress.answer import READ_MAX
from gateway.egress.client import Egress
from gateway.egress.judging import judged
from gateway.outcomes import Answered, run_status
from tests.egress.test_client import effect, egress, send
from tests.support.target import Target, status

__all__ = ["egress"]  # the fixture


@pytest.mark.parametrize(
    ("document", "where", "expected"),
    [
        ({"ok": True}, "/ok", "done"),
        ({"ok": False}, "/ok", "refused"),
        ({"ok": "true"}, "/ok", "unclear"),
        ({"ok": 1}, "/ok", "unclear"),
        ({"ok": None}, "/ok", "unclear"),
        ({}, "/ok", "unclear"),
        ([True], "/ok", "unclear"),
        ([False, True], "/1", "done"),
        ([True], "/1", "unclear"),
        ([True], "/-1", "unclear"),
        ({"a/b": {"~": True}}, "/a~1b/~0", "done"),
        (True, "", "done"),
    ],
)
def test_the_pointer_decides(document: Any, where: str, expected: str) -> None:
    body = json.dumps(document).encode()
    assert judged(f"json:{where}", body, whole=True) == expected
    assert judged(f"json:{where}", body, whole=False) == "unclear"
    assert judged("status", body, whole=False) == "done"


@pytest.mark.parametrize("body", [b"", b"ok", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_unclear(body: bytes) -> None:
    assert judged("json:/ok", body, whole=True) == "unclear"


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        (200, b'{"ok": true}', ("success", None)),
        (200, b'{"ok": false}', ("failed", "target_refused")),
        (200, b'{"ok": tru', ("unknown", "unclear_answer")),
        (201, b'{"fill": "%s", "ok": true}' % (b"x" * 20_000), ("success", None)),
        (201, b'{"fill": "%s", "ok": true}' % (b"x" * 4 * READ_MAX), ("unknown", "unclear_answer")),
        (500, b'{"ok": true}', ("failed", "target_status")),
        (429, b'{"ok": false}', ("failed", "target_status")),
    ],
)
async def test_an_answer_is_judged_whole(
    egress: Egress, target: Target, code: int, body: bytes, expected: tuple[str, str | None]
) -> None:
    """Before it is cut to what is kept; a body that is too long to be read cannot be judged."""
    target.answer = status(code, body)
    outcome = await send(egress, effect(target.url, judge="json:/ok"))
    assert isinstance(outcome, Answered)
    assert tuple(run_status(outcome)) == expected
