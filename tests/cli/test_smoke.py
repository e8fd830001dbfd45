"""The smoke test shows that Relay works, and fails when it does not."""

import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from click.testing import CliRunner, Result
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.cli.main import relay
from gateway.cli.receiver import Delivery, receiver
from gateway.cli.smoke import Step, smoke
from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.http.server import ListeningServer, running
from gateway.signatures import sign
from tests.support.gateways import SIGNING_KEY, gateway_process
from tests.support.valkey import Valkey

STEPS = ["preview", "execute", "replay"]


def run(*arguments: str, **env: str) -> Result:
    wide = {"COLUMNS": "200", "ACTIONS_SIGNING_SECRET": ""}
    return CliRunner().invoke(relay, ["smoke", *arguments], env={**wide, **env})


def rows(result: Result) -> list[tuple[str, str]]:
    """Step and verdict of each row of the table."""
    return re.findall(r"(preview|execute|replay) +│ (pass|FAIL) +│ [0-9.]+ ms", result.output)


def test_smoke_needs_nothing_and_prints_a_row_a_step() -> None:
    """It brings a gateway, a store and a receiver of its own."""
    result = run()

    assert result.exit_code == 0
    assert rows(result) == [(step, "pass") for step in STEPS]
    assert "1 delivery, signature verified" in result.output


def test_smoke_prints_json_for_machines() -> None:
    """The same steps, each with verdict, time and detail."""
    result = run("--json")

    told = json.loads(result.stdout)
    assert (result.exit_code, told["ok"]) == (0, True)
    assert [(step["step"], step["ok"]) for step in told["steps"]] == [
        (name, True) for name in STEPS
    ]
    assert all(step["milliseconds"] > 0 and step["detail"] for step in told["steps"])


@pytest.mark.parametrize(
    ("secret", "said"),
    [("secret", "signature verified"), ("", "signature not checked"), ("other", None)],
)
def test_smoke_tries_a_gateway_that_runs(valkey: Valkey, secret: str, said: str | None) -> None:
    """With the signing secret of that gateway its signature is checked too."""
    with gateway_process({"REDIS_URL": valkey.url, "ACTIONS_SIGNING_SECRET": "secret"}) as gateway:
        result = run("--url", gateway.url, ACTIONS_SIGNING_SECRET=secret)

    if said is None:
        assert result.exit_code == 1
        assert rows(result) == [("preview", "pass"), ("execute", "FAIL")]
        assert "the signature does not verify" in result.output
    else:
        assert result.exit_code == 0
        assert rows(result) == [(step, "pass") for step in STEPS]
        assert f"1 delivery, {said}" in result.output


def test_smoke_fails_when_the_gateway_may_not_reach_the_receiver(valkey: Valkey) -> None:
    """The first row says what the gateway said, and nothing follows it."""
    with gateway_process({"REDIS_URL": valkey.url, "EGRESS_ALLOW": ""}) as gateway:
        table, told = run("--url", gateway.url), run("--url", gateway.url, "--json")

    assert (table.exit_code, told.exit_code) == (1, 1)
    assert rows(table) == [("preview", "FAIL")]
    assert "target_forbidden" in table.output
    assert json.loads(told.stdout)["ok"] is False


def test_smoke_fails_when_there_is_no_gateway() -> None:
    """A row, not a traceback."""
    result = run("--url", "http://127.0.0.1:1")

    assert result.exit_code == 1
    assert rows(result) == [("preview", "FAIL")]


class FakeGateway:
    """Answers as a gateway would, but for its one `flaw`."""

    def __init__(self, client: httpx2.AsyncClient, flaw: str) -> None:
        self._client, self._flaw = client, flaw
        self._url, self._body = "", b""
        self._run_id = str(uuid4())
        self._executed = False

    def app(self) -> Starlette:
        routes = [
            Route("/actions/preview", self.preview, methods=["POST"]),
            Route("/actions/execute", self.execute, methods=["POST"]),
        ]
        return Starlette(routes=routes)

    async def preview(self, request: Request) -> Response:
        asked = await request.body()
        self._body = asked[asked.index(b'"body": ') + 8 : -2]
        self._url = json.loads(asked)["params"]["url"]
        if self._flaw.startswith("sends at the preview"):
            await self._send()
        shown = "{}" if self._flaw == "previews another body" else self._body.decode()
        return self._answer({"preview_id": "1", "summary": "", "effect": {"body": shown}})

    async def execute(self, request: Request) -> Response:
        replayed, self._executed = self._executed, True
        for _ in range(self._sends(replayed)):
            await self._send()
        if replayed and self._flaw == "replays another run":
            self._run_id = str(uuid4())
        failed = self._flaw == "says failed"
        run = {
            "run_id": self._run_id,
            "status": "failed" if failed else "success",
            "error": None,
            "result": {"status_code": 200},
        }
        silent = self._flaw == "does not say that it replayed"
        return self._answer(run, {"Idempotent-Replayed": "true"} if replayed and not silent else {})

    def _sends(self, replayed: bool) -> int:
        if replayed:
            return int(self._flaw == "sends at the replay")
        flaws = {"sends twice": 2, "sends nothing": 0, "sends at the preview alone": 0}
        return flaws.get(self._flaw, 1)

    async def _send(self) -> None:
        sent = json.dumps(json.loads(self._body)).encode()
        body = sent if self._flaw == "sends other bytes" else self._body
        key = b"other" if self._flaw == "signs with another key" else SIGNING_KEY
        run_id = "other" if self._flaw == "signs another run" else self._run_id
        headers = sign([key], message_id=run_id, timestamp=int(time.time()), body=body)
        unsigned = self._flaw == "signs nothing"
        await self._client.post(self._url, content=body, headers={} if unsigned else headers)

    def _answer(self, body: dict[str, Any], headers: Mapping[str, str] = {}) -> Response:
        request_id = str(uuid4())
        told = "other" if self._flaw == "tells two request ids" else request_id
        return JSONResponse(
            {**body, "request_id": told}, headers={**headers, "X-Request-ID": request_id}
        )


@asynccontextmanager
async def fake_gateway(flaw: str) -> AsyncIterator[str]:
    async with httpx2.AsyncClient(trust_env=False) as client:
        app = FakeGateway(client, flaw).app()
        async with running(ListeningServer(app, host="127.0.0.1", port=0)) as url:
            yield url


@pytest.mark.parametrize(
    ("flaw", "wrong", "said"),
    [
        ("none", None, ""),
        ("tells two request ids", "preview", "request_id differs"),
        ("previews another body", "preview", "another body"),
        ("sends at the preview and again", "preview", "deliver"),
        ("sends at the preview alone", "preview", "deliver"),
        ("says failed", "execute", "status failed"),
        ("sends nothing", "execute", "0 deliveries"),
        ("sends twice", "execute", "2 deliveries"),
        ("sends other bytes", "execute", "other bytes arrived"),
        ("signs with another key", "execute", "does not verify"),
        ("signs nothing", "execute", "does not verify"),
        ("signs another run", "execute", "webhook-id"),
        ("replays another run", "replay", "another run"),
        ("does not say that it replayed", "replay", "Idempotent-Replayed: None"),
        ("sends at the replay", "replay", "2 deliveries"),
    ],
)
async def test_smoke_sees_through_a_gateway_with(flaw: str, wrong: str | None, said: str) -> None:
    """Each promise that is broken fails the step that shows it; a keeper of all passes."""
    steps: list[Step] = []
    settings = Settings(signing_secrets=(Secret(SIGNING_KEY),))
    async with fake_gateway(flaw) as url:
        well = await smoke(url=url, target=None, settings=settings, done=steps.append)

    assert well is (wrong is None)
    assert [step.step for step in steps if not step.ok] == ([wrong] if wrong else [])
    assert [step.step for step in steps] == STEPS[: STEPS.index(wrong or "replay") + 1]
    assert said in steps[-1].detail


async def test_smoke_sends_to_a_target_that_is_named() -> None:
    """Then the report leaves out deliveries, because the target is not ours."""
    steps: list[Step] = []
    deliveries: list[Delivery] = []
    sink = receiver(deliveries.append, secret=None)
    async with (
        fake_gateway("none") as url,
        running(ListeningServer(sink, host="127.0.0.1", port=0)) as target,
    ):
        await smoke(url=url, target=f"{target}/mine", settings=Settings(), done=steps.append)

    assert [step.ok for step in steps] == [True] * 3
    assert "the target answered 200" in steps[1].detail
    assert [delivery.path for delivery in deliveries] == ["/mine"]
