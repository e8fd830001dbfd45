"""The outcome of an execution follows from the point of failure: the table, row by row."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from gateway.cli.receiver import Delivery, receiver
from gateway.http.server import ListeningServer, running
from tests.support.gateways import Relay, gateway
from tests.support.target import Answer, Target, hang, reset, status
from tests.support.valkey import Valkey

# Labels as long as DNS allows, which are not registered.
NO_NAME = "http://" + ".".join(["a" * 63] * 3) + ".com/hook"


def then_hang(*parts: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(parts))
        await hang(reader, writer)

    return answer


def then_reset(*parts: bytes) -> Answer:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(parts))
        await writer.drain()
        writer.close()

    return answer


@pytest.fixture
async def quick(valkey: Valkey) -> AsyncIterator[Relay]:
    """A gateway that gives a target 0.3 s."""
    async with gateway(valkey.url, action_timeout=timedelta(seconds=0.3)) as client:
        yield client


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that refuses connections until a server listens on it."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


async def keys_left(valkey: Valkey) -> list[str]:
    """The kinds of key that the store holds, but for what the audit is to hear, and quotas."""
    with valkey.client() as client:
        kinds = {key.decode().split(":")[2] for key in client.scan_iter("relay:{*")}
    return sorted(kinds - {"outbox", "quota"})


@pytest.mark.parametrize(
    ("code", "run_status", "error"),
    [
        (200, "success", None),
        (204, "success", None),
        (299, "success", None),
        (300, "failed", "target_status"),
        (302, "failed", "target_status"),
        (304, "failed", "target_status"),
        (404, "failed", "target_status"),
        (500, "failed", "target_status"),
        (599, "failed", "target_status"),
    ],
)
async def test_what_the_target_answers_is_the_outcome(
    relay: Relay, target: Target, code: int, run_status: str, error: str | None
) -> None:
    """2xx is success, all else is failed; a redirect is not followed; a retry replays either."""
    body = b"" if code in (204, 304) else b"said"
    target.answer = status(code, body, f"Location: {target.url}/elsewhere")

    first = await relay.execute(await relay.preview_id(target.url), "order-1")
    again = await relay.execute("expired-or-invalid", "order-1")

    run = first.json()
    assert (first.status_code, run["status"]) == (200, run_status)
    assert (run["error"] or {}).get("code") == error
    assert run["error"] is None or run["error"]["safe_to_retry"] is False
    assert run["result"] == {"status_code": code, "response": body.decode(), "truncated": False}
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == {**run, "request_id": again.json()["request_id"]}
    assert len(target.deliveries) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(hang, id="hangs"),
        pytest.param(reset, id="resets"),
        pytest.param(then_reset(), id="closes"),
        pytest.param(then_hang(b"HTTP/1.1 20"), id="hangs in its status line"),
        pytest.param(then_reset(b"HTTP/1.1 20"), id="closes in its status line"),
        pytest.param(then_hang(b"HTTP/1.1 200 OK\r\nContent-"), id="hangs in its headers"),
        pytest.param(then_reset(b"220 mail.example ESMTP\r\n\r\n"), id="speaks something else"),
    ],
)
async def test_no_answer_is_unknown_and_never_sent_again(
    quick: Relay, target: Target, answer: Answer
) -> None:
    """Bytes were out and no head of an answer came: a retry replays exactly that."""
    target.answer = answer
    first = await quick.execute(await quick.preview_id(target.url), "order-1")
    target.answer = status(200)
    again = await quick.execute("expired-or-invalid", "order-1")

    run = first.json()
    assert (first.status_code, run["status"], run["result"]) == (200, "unknown", None)
    assert (run["error"]["code"], run["error"]["safe_to_retry"]) == ("no_response", False)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == {**run, "request_id": again.json()["request_id"]}
    assert len(target.deliveries) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
async def test_a_kept_connection_that_breaks_is_unknown(
    quick: Relay, target: Target, method: str
) -> None:
    """The client library would send GET, PUT and DELETE again; Relay never does."""
    previews = [await quick.preview(target.url, method=method) for _ in range(2)]
    ids = [preview.json()["preview_id"] for preview in previews]
    assert (await quick.execute(ids[0])).json()["status"] == "success"
    target.answer = reset

    run = (await quick.execute(ids[1])).json()

    assert (run["status"], run["error"]["code"]) == ("unknown", "no_response")
    assert (len(target.deliveries), target.connections) == (2, 1)


async def test_an_answer_that_breaks_off_behind_its_head_is_an_answer(
    quick: Relay, target: Target
) -> None:
    """The status is the outcome; the body says that it was cut."""
    target.answer = then_hang(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    run = (await quick.execute(await quick.preview_id(target.url))).json()

    assert run["status"] == "success"
    assert run["result"] == {"status_code": 200, "response": "half", "truncated": True}


async def test_a_refused_connection_gives_key_and_preview_back(
    relay: Relay, valkey: Valkey
) -> None:
    """Nothing was sent: the same preview and key succeed once the target listens."""
    deliveries: list[Delivery] = []
    with refusing_port() as port:
        preview_id = await relay.preview_id(f"http://127.0.0.1:{port}/hook")
        for _ in range(2):
            refused = await relay.execute(preview_id, "order-1")
            assert (refused.status_code, refused.json()["code"]) == (502, "target_unreachable")
            assert refused.json()["safe_to_retry"] is True
            assert await keys_left(valkey) == ["preview", "run"]
            assert (await relay.get(f"/previews/{preview_id}")).status_code == 200

        app = receiver(deliveries.append, secret=None)
        async with running(ListeningServer(app, host="127.0.0.1", port=port)):
            run = await relay.execute(preview_id, "order-1")

    assert (run.status_code, run.json()["status"]) == (200, "success")
    assert "Idempotent-Replayed" not in run.headers
    assert len(deliveries) == 1


async def test_a_name_that_does_not_resolve_gives_key_and_preview_back(
    relay: Relay, valkey: Valkey
) -> None:
    """A warning in the preview, 502 at the execution, each time anew."""
    preview = (await relay.preview(NO_NAME)).json()
    assert any("does not resolve" in warning for warning in preview["warnings"])

    for _ in range(2):
        refused = await relay.execute(preview["preview_id"], "order-1")
        assert (refused.status_code, refused.json()["code"]) == (502, "target_unreachable")
        assert refused.json()["safe_to_retry"] is True
        assert "does not resolve" in refused.json()["detail"]
        assert await keys_left(valkey) == ["preview", "run"]


async def test_the_guard_decides_again_when_it_is_sent(
    relay: Relay, target: Target, valkey: Valkey
) -> None:
    """What was allowed at the preview and is not any more is 422, and nothing is spent."""
    preview_id = await relay.preview_id(target.url)
    async with gateway(valkey.url, egress_networks=()) as strict:
        for _ in range(2):
            refused = await strict.execute(preview_id, "order-1")
            assert (refused.status_code, refused.json()["code"]) == (422, "target_forbidden")
            assert refused.json()["detail"] == (
                "The preview allowed this target, which is refused now: "
                "The target is not a public address."
            )
            assert refused.json()["safe_to_retry"] is True
            assert await keys_left(valkey) == ["preview", "run"]
    assert target.connections == 0

    assert (await relay.execute(preview_id, "order-1")).json()["status"] == "success"
    assert len(target.deliveries) == 1
