"""The three steps that Relay was born from: preview, execute, execute again."""

import json
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import httpx2
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from gateway.cli.receiver import Delivery, receiver
from gateway.cli.serve import GatewayServer
from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.http.server import ListeningServer, running
from gateway.signatures import verify


class Step(Struct, kw_only=True):
    """One row of the table. `detail`: what was seen, or what was wrong."""

    step: str
    ok: bool
    milliseconds: float
    detail: str


class Wrong(Exception):
    """A step did not show what it must."""


class Smoke:
    """The steps against one gateway. `deliveries`: None where the target is not ours to see."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        target: str,
        deliveries: list[Delivery] | None,
        secret: bytes | None,
    ) -> None:
        self._client = client
        self._target = target
        self._deliveries = deliveries
        self._secret = secret
        self._key = f"smoke-{uuid4()}"
        # Spaces and an escape that a parser would tidy: the bytes must survive as they are.
        self._body = f'{{"test":  "smoke {uuid4()} \\u2026"}}'
        self._preview_id = self._run_id = ""

    async def preview(self) -> str:
        params = f'{{"url": {json.dumps(self._target)}, "body": {self._body}}}'
        response = await self._client.post(
            "/actions/preview",
            content=f'{{"action": "webhook.save", "params": {params}}}',
            headers={"Content-Type": "application/json"},
        )
        preview = _json(response, 200)
        _must(preview["effect"]["body"] == self._body, "the preview shows another body")
        _must(not self._deliveries, "the preview made a delivery")
        self._preview_id = preview["preview_id"]
        return str(preview["summary"])

    async def execute(self) -> str:
        run = _json(await self._execute(self._preview_id), 200)
        _must(run["status"] == "success", f"status {run['status']}: {run['error']}")
        self._run_id = run["run_id"]
        return f"run {self._run_id}, {self._delivered(run)}"

    async def replay(self) -> str:
        response = await self._execute("expired-or-invalid")
        run = _json(response, 200)
        _must(run["run_id"] == self._run_id, f"another run: {run['run_id']}")
        replayed = response.headers.get("Idempotent-Replayed")
        _must(replayed == "true", f"Idempotent-Replayed: {replayed}")
        return f"the same run, {self._delivered(run)}"

    async def _execute(self, preview_id: str) -> httpx2.Response:
        return await self._client.post(
            "/actions/execute",
            json={"preview_id": preview_id},
            headers={"Idempotency-Key": self._key},
        )

    def _delivered(self, run: dict[str, Any]) -> str:
        if self._deliveries is None:
            return f"the target answered {run['result']['status_code']}"
        _must(len(self._deliveries) == 1, f"{len(self._deliveries)} deliveries, not 1")
        delivery = self._deliveries[0]
        _must(delivery.body == self._body.encode(), "other bytes arrived than were previewed")
        _must(delivery.headers.get("webhook-id", self._run_id) == self._run_id, "webhook-id")
        if self._secret is None:
            return "1 delivery, signature not checked (ACTIONS_SIGNING_SECRET is not set here)"
        signed = verify(self._secret, delivery.headers, delivery.body, now=time.time())
        _must(signed, "the signature does not verify")
        return "1 delivery, signature verified"


async def smoke(
    *, url: str | None, target: str | None, settings: Settings, done: Callable[[Step], None]
) -> bool:
    """Perform the steps and tell each; whether all are well. What is not given is started here.

    Raises StartError.
    """
    deliveries: list[Delivery] = []
    made = Secret(secrets.token_bytes(32))
    secret = made if url is None else next(iter(settings.signing_secrets), None)
    async with AsyncExitStack() as stack:
        seen = deliveries if target is None else None
        if target is None:
            sink = receiver(deliveries.append, secret=None)
            running_sink = running(ListeningServer(sink, host="127.0.0.1", port=0))
            target = f"{await stack.enter_async_context(running_sink)}/hook"
        if url is None:
            folder = stack.enter_context(TemporaryDirectory(prefix="relay-smoke-"))
            gateway = GatewayServer(_own(settings, folder, made), host="127.0.0.1", port=0)
            url = await stack.enter_async_context(running(gateway))
        client = _client(url, settings)
        await stack.enter_async_context(client)
        steps = Smoke(client, target, seen, secret.reveal() if secret else None)
        for perform in (steps.preview, steps.execute, steps.replay):
            step = await _timed(perform)
            done(step)
            if not step.ok:
                return False
    return True


def _client(url: str, settings: Settings) -> httpx2.AsyncClient:
    principal = settings.bearer
    return httpx2.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False, headers=principal)


def _own(settings: Settings, folder: str, secret: Secret) -> Settings:
    loopback = ip_network("127.0.0.0/8")
    return Settings(
        data_dir=Path(folder),
        signing_secrets=(secret,),
        egress_hosts=settings.egress_hosts,
        egress_networks=(*settings.egress_networks, loopback),
    )


async def _timed(perform: Callable[[], Awaitable[str]]) -> Step:
    started = time.perf_counter()
    try:
        ok, detail = True, await perform()
    except (Wrong, httpx2.HTTPError) as error:
        ok, detail = False, str(error) or type(error).__name__
    milliseconds = round((time.perf_counter() - started) * 1000, 1)
    return Step(step=perform.__name__, ok=ok, milliseconds=milliseconds, detail=detail)


def _json(response: httpx2.Response, status: int) -> Any:
    _must(response.status_code == status, f"{response.status_code}: {response.text}")
    body = response.json()
    _must(
        body["request_id"] == response.headers.get("X-Request-ID"),
        "the request_id differs between header and body",
    )
    return body


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Wrong(otherwise)


class Report:
    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = Console()
        self._steps: list[Step] = []

    def add(self, step: Step) -> None:
        self._steps.append(step)

    def end(self) -> None:
        if self._as_json:
            well = all(step.ok for step in self._steps)
            steps = msgspec.to_builtins(self._steps)
            self._console.print_json(json.dumps({"ok": well, "steps": steps}))
        else:
            self._console.print(self._table())

    def _table(self) -> Table:
        table = Table("step", "verdict", "time", "detail")
        for step in self._steps:
            verdict = "[green]pass[/]" if step.ok else "[red]FAIL[/]"
            table.add_row(step.step, verdict, f"{step.milliseconds} ms", step.detail)
        return table


# Longer than any gateway lets one request take.
PATIENCE = 60.0
