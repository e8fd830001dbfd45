"""What is stored: documents that come back as they were, and the answer of each outcome."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from gateway.actions.action import Action
from gateway.actions.webhook import webhook_save
from gateway.execution.documents import (
    Origin,
    outcome_document,
    preview_document,
    run_answer,
    stored_effect,
    with_request_fields,
)
from gateway.outcomes import Answered, NoResponse
from gateway.timestamps import timestamp
from stores.redis.reservations import Reservation, Run
from tests.support.effects import effect_of

ORIGIN = b'{"action":"webhook.save","provider":"independent"}'
ACTION = webhook_save(default_url=None)
ANY: Action[Any] = ACTION
LINK = "https://traces.example/t-1"


@pytest.mark.parametrize(
    ("epoch_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (999, "1970-01-01T00:00:00.999Z"),
        (1000, "1970-01-01T00:00:01.000Z"),
        (1_795_406_400_000, "2026-11-23T04:00:00.000Z"),
    ],
)
def test_a_timestamp_has_milliseconds(epoch_ms: int, text: str) -> None:
    """RFC 3339, in UTC, always with three digits."""
    assert timestamp(epoch_ms) == text


def test_the_moment_is_put_on_the_end() -> None:
    """The stored bytes stay as they are; what belongs to the moment follows."""
    assert with_request_fields(b'{"a":1}', request_id='r"1') == b'{"a":1,"request_id":"r\\"1"}'
    assert with_request_fields(b'{"a":1}', x="1", y="2") == b'{"a":1,"x":"1","y":"2"}'


@pytest.mark.parametrize("body", ['{"a":  1.50, "b": "h\\u00e9"}', '"\u00e9\u2028"', "null", None])
def test_an_effect_comes_back_as_it_was(body: str | None) -> None:
    """Method, URL, headers in their order and body: the digest is the same."""
    member = "" if body is None else f', "body": {body}'
    params = Raw(f'{{"url": "https://a.example", "headers": {{"Z": "1"}}{member}}}'.encode())
    effect = effect_of(ACTION, params)
    document, origin = preview_document("p-1", ANY, params, effect, ["careful"])
    again, known = stored_effect(document)
    assert again.digest == effect.digest == json.loads(document)["effect"]["digest"]
    assert (again.method, again.url, again.body) == (effect.method, effect.url, effect.body)
    assert list(again.headers.items()) == list(effect.headers.items())
    kept = f',"digest":"{effect.digest}","method":"POST","host":"a.example"}}'
    assert origin == ORIGIN[:-1] + kept.encode()
    assert (known.action, known.provider) == ("webhook.save", "independent")
    assert json.loads(document)["warnings"][-1] == "careful"
    assert bytes(params) in document


def document_of(outcome: Answered | NoResponse, *, link: str = "") -> dict[str, Any]:
    run = outcome_document(
        outcome,
        Reservation("w", "k", "p-1", "r-1", trace_link=link),
        Origin(action="webhook.save", provider="independent"),
        started_at_ms=1000,
        duration_ms=549,
    )
    return dict(msgspec.json.decode(msgspec.json.encode(run)))


@pytest.mark.parametrize(("code", "status"), [(199, "failed"), (200, "success"), (299, "success")])
def test_an_answer_is_a_result(code: int, status: str) -> None:
    """A success has no error; the result is what the target said."""
    document = document_of(Answered(status_code=code, response="OK", truncated=False))
    assert document["status"] == status
    assert document["result"] == {"status_code": code, "response": "OK", "truncated": False}
    assert (document["error"] is None) is (status == "success")
    assert document["duration_ms"] == 549
    assert document["started_at"] == "1970-01-01T00:00:01.000Z"


@pytest.mark.parametrize("code", [300, 302, 404, 500])
def test_another_status_is_an_error(code: int) -> None:
    """The result is there too, and what to say of a retry."""
    document = document_of(Answered(status_code=code, response="", truncated=True))
    assert document["status"] == "failed"
    assert document["error"] == {
        "code": "target_status",
        "detail": f"The target answered {code}.",
        "safe_to_retry": False,
    }
    assert document["result"]["truncated"] is True


def test_no_response_is_unknown() -> None:
    """There is no result, and it is not safe to do it again."""
    document = document_of(NoResponse("Nothing came."))
    assert (document["status"], document["result"]) == ("unknown", None)
    error = {"code": "no_response", "detail": "Nothing came.", "safe_to_retry": False}
    assert document["error"] == error


def test_the_link_is_that_of_the_request_that_ran_it() -> None:
    """Where nothing was sampled there is none, and the member says so."""
    answered = Answered(status_code=200, response="OK", truncated=False)
    assert document_of(answered, link=LINK)["trace_link"] == LINK
    assert document_of(answered)["trace_link"] is None


def run(lease_left: int, doc: bytes | None = None) -> Run:
    lease = timedelta(milliseconds=lease_left)
    state = "running" if doc is None else "success"
    return Run("r-1", "p-1", ORIGIN, 1000, lease, 2000, doc, state, trace_link=LINK)


def test_a_settled_run_is_answered_as_it_was_stored() -> None:
    """To the byte, whatever its lease."""
    for lease_left in (-1, 0, 1):
        assert run_answer(run(lease_left, b'{"any":  "thing"}')) == b'{"any":  "thing"}'


@pytest.mark.parametrize(
    ("lease_left", "status", "code"),
    [(1, "running", None), (0, "unknown", "interrupted"), (-1, "unknown", "interrupted")],
)
def test_a_run_without_an_answer(lease_left: int, status: str, code: str | None) -> None:
    """Running while its lease lasts; unknown from then on, and not safe to do again."""
    document = msgspec.json.decode(run_answer(run(lease_left)))
    assert (document["run_id"], document["preview_id"]) == ("r-1", "p-1")
    assert (document["action"], document["provider"]) == ("webhook.save", "independent")
    assert (document["status"], document["result"]) == (status, None)
    assert (document["error"] or {}).get("code") == code
    assert document["trace_link"] == LINK
    assert (document["error"] or {"safe_to_retry": False})["safe_to_retry"] is False
