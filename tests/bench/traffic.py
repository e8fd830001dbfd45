"""What the clients of a subject send, row by row."""

import json
import os
from collections.abc import Iterator
from itertools import count
from uuid import uuid4

from tests.bench import messages
from tests.bench.load import Script, closed_load, each
from tests.bench.subjects import Subject

PREPARING_CONNECTIONS = 16
HOOK, SLOW_HOOK = "/hook/bench", "/slow/bench"
BODY = b'{"test":"bench","n":1}'
_numbers = count()


class Traffic:
    """Requests to one subject, about a webhook at this port."""

    def __init__(self, subject: Subject, sink: int, hook: str = HOOK) -> None:
        self._subject = subject
        self._url = url = f"http://127.0.0.1:{sink}{hook}".encode()
        params = b'{"url":"%s","body":%s}' % (url, BODY)
        if subject.tools:
            self.preview = messages.call("preview_webhook_save", params, api_key=subject.api_key)
        else:
            asked = b'{"action":"webhook.save","params":%s}' % params
            self.preview = messages.post("/actions/preview", asked, api_key=subject.api_key)

    async def scripts(self, row: str, total: int, connections: int) -> list[Script]:
        """The scripts of a closed load with `total` requests, or pairs."""
        if row == "pair":
            return [self._pairs(total // connections) for _ in range(connections)]
        requests = iter(await self.requests(row, total))
        return [each(requests) for _ in range(connections)]

    async def requests(self, row: str, total: int) -> list[bytes]:
        """`total` requests of a row, with what they need already there."""
        match row:
            case "preview":
                return [self.preview] * total
            case "execute" if self._subject.send_path:
                return [self._sent_by_peer() for _ in range(total)]
            case "execute":
                return await self._executes(total)
            case "replay":
                [execute], _ = await self._executed()
                path = self._subject.replay_path.encode()
                return [execute.replace(b"/actions/execute", path, 1)] * total
            case "read":
                _, run_id = await self._executed()
                return [messages.get(f"/runs/{run_id}", api_key=self._subject.api_key)] * total
            case _:
                raise ValueError(row)

    async def execute_once(self, key: str) -> tuple[str, str]:
        """Preview and execute once; returns the ids of the preview and the run."""
        previewed = await self._answers([self.preview])
        preview_id = messages.preview_id(previewed[0])
        [answer] = await self._answers([self._execute(preview_id, key)])
        return preview_id, messages.run_id(answer)

    async def _executed(self) -> tuple[list[bytes], str]:
        requests = await self._executes(1)
        [answer] = await self._answers(requests)
        return requests, messages.run_id(answer)

    async def _executes(self, total: int) -> list[bytes]:
        """The executes of as many fresh previews."""
        answers = await self._answers([self.preview] * total)
        return [self.execute_of(answer) for answer in answers]

    async def _answers(self, requests: list[bytes]) -> list[bytes]:
        answers: list[bytes] = []
        left = iter(requests)

        def following(answer: bytes) -> bytes | None:
            if answer:
                answers.append(answer)
            return next(left, None)

        connections = min(len(requests), PREPARING_CONNECTIONS)
        await closed_load(self._subject.port, [following] * connections)
        return answers

    def execute_of(self, answer: bytes) -> bytes:
        """The execute of the preview in this answer, with a new key."""
        return self._execute(messages.preview_id(answer))

    def _execute(self, preview_id: str, key: str = "") -> bytes:
        key = key or f"bench-{os.getpid()}-{next(_numbers)}"
        if self._subject.tools:
            return self._execute_tool(preview_id, key)
        return messages.post(
            "/actions/execute",
            b'{"preview_id":"%s"}' % preview_id.encode(),
            key=key,
            api_key=self._subject.api_key,
        )

    def _execute_tool(self, preview_id: str, key: str) -> bytes:
        summary = f"POST {self._url.decode()} with {len(BODY)} bytes of JSON"
        given = {"preview_id": preview_id, "summary": summary, "idempotency_key": key}
        arguments = json.dumps(given, separators=(",", ":")).encode()
        return messages.call("execute", arguments, api_key=self._subject.api_key)

    def _sent_by_peer(self) -> bytes:
        body = b'{"url":"%s","body":%s}' % (self._url, BODY)
        return messages.post(self._subject.send_path, body, key=str(uuid4()))

    def _pairs(self, pairs: int) -> Script:
        left: Iterator[int] = iter(range(2 * pairs))

        def following(answer: bytes) -> bytes | None:
            turn = next(left, None)
            if turn is None:
                return None
            return self.execute_of(answer) if turn % 2 else self.preview

        return following


def straight(total: int, hook: str) -> list[bytes]:
    """Requests to the receiver itself."""
    return [messages.post(hook, b'{"test":"bench","n":1}')] * total
