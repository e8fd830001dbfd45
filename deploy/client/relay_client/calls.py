"""Each call as a generator that does no I/O: it yields what to send and how long to pause, and
gets what came of it. Relay and AsyncRelay drive the same ones.
"""

import logging
import math
import platform
import re
import sys
import uuid
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from relay_client import documents as d
from relay_client.problem_body import ProblemBody
from relay_client.problems import (
    ApprovalPending,
    ForeignAnswer,
    NoAnswer,
    RelayError,
    problem_of,
)
from relay_client.retries import Patience, Tries
from relay_client.version import __version__

# The longest that the gateway waits for a decision or a run.
LONGEST_WAIT = 30
VISIBLE = re.compile(r"[!-~]+")
USER_AGENT = f"relay-client/{__version__} python/{platform.python_version()}"
log = logging.getLogger("relay_client")

T = TypeVar("T")


class Request(Struct, frozen=True, kw_only=True):
    """What to send. `timeout`: in seconds."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    timeout: float


class Pause(Struct, frozen=True):
    """How long to wait before going on."""

    seconds: float


class Reply(Struct, frozen=True):
    """What came back. `headers`: of any mapping that knows no case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Lost(Struct, frozen=True):
    """Nothing came back, or only a part."""

    error: Exception


Call = Generator[Request | Pause, Reply | Lost | None, T]


class Calls:
    """The calls of one gateway."""

    def __init__(self, url: str, api_key: str | None, patience: Patience) -> None:
        self.url = _checked(url)
        self.patience = patience
        self._headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        if api_key:
            if not VISIBLE.fullmatch(api_key):  # h11 would show it in its complaint
                raise ValueError("An API key has visible ASCII characters only.")
            self._headers["Authorization"] = f"Bearer {api_key}"

    def preview(self, action: str, params: Mapping[str, Any]) -> Call[d.Preview]:
        asked = {"action": action, "params": params}
        return self._document(d.Preview, "POST", "/actions/preview", body=asked)

    def execute(
        self, preview: d.Preview | str, *, key: str | None, wait: float | None
    ) -> Call[d.Run]:
        """Repeats while the preview waits for an approval and `wait` is not over."""
        until = self.patience.clock() + (wait or 0)
        asked = {"preview_id": preview if isinstance(preview, str) else preview.preview_id}
        headers = {"X-Request-ID": _request_id()}
        if key is not None:
            headers["Idempotency-Key"] = _header(key)
        while True:
            left = until - self.patience.clock()
            if wait is not None:
                headers["Prefer"] = f"wait={min(LONGEST_WAIT, max(0, math.ceil(left)))}"
            try:
                reply, run = yield from self._ask(
                    d.Run, "POST", "/actions/execute", body=asked, headers=headers
                )
            except ApprovalPending as pending:
                left = until - self.patience.clock()
                if left <= 0:
                    raise
                asked_to = pending.retry_after
                yield Pause(min(left, 1.0 if asked_to is None else asked_to))
            else:
                replayed = reply.headers.get("idempotent-replayed") == "true"
                return msgspec.structs.replace(run, replayed=replayed)

    def run(self, run_id: str) -> Call[d.Run]:
        return self._document(d.Run, "GET", f"/runs/{quote(run_id, safe='')}")

    def actions(self) -> Call[Sequence[d.Action]]:
        listed = yield from self._document(d.Actions, "GET", "/actions")
        return listed.actions

    def runs(self, wanted: Mapping[str, object], cursor: str | None) -> Call[d.Page[d.ListedRun]]:
        read = yield from self._document(d.Runs, "GET", f"/runs{_query(wanted, cursor)}")
        return d.Page(read.runs, read.next_cursor)

    def approvals(
        self, wanted: Mapping[str, object], cursor: str | None
    ) -> Call[d.Page[d.ListedApproval]]:
        path = f"/approvals{_query(wanted, cursor)}"
        read = yield from self._document(d.Approvals, "GET", path)
        return d.Page(read.approvals, read.next_cursor)

    def approval(self, preview_id: str, *, wait: float | None) -> Call[d.Approval]:
        headers = {} if wait is None else {"Prefer": f"wait={min(LONGEST_WAIT, math.ceil(wait))}"}
        path = f"/approvals/{quote(preview_id, safe='')}"
        return self._document(d.Approval, "GET", path, headers=headers)

    def decide(self, approval: d.Approval, decision: str, reason: str) -> Call[str]:
        """Names the digest of what the approval shows, computed here."""
        if approval.wire is None:
            raise ValueError(f"The approval has ended: it is {approval.state}.")
        asked = {"decision": decision, "digest": approval.wire.digest, "reason": reason}
        path = f"/approvals/{quote(approval.preview_id, safe='')}/decision"
        decided = yield from self._document(d.Decided, "POST", path, body=asked)
        return decided.state

    def _document(
        self,
        kind: type[T],
        method: str,
        path: str,
        *,
        body: object = None,
        headers: Mapping[str, str] = {},
    ) -> Call[T]:
        _, document = yield from self._ask(kind, method, path, body=body, headers=headers)
        return document

    def _ask(
        self, kind: type[T], method: str, path: str, *, body: object, headers: Mapping[str, str]
    ) -> Call[tuple[Reply, T]]:
        """Tries until there is an answer, under one request id."""
        tries, content = Tries(self.patience), None
        headers = {**self._headers, "X-Request-ID": _request_id(), **_trace(), **headers}
        if body is not None:
            content, headers["Content-Type"] = msgspec.json.encode(body), "application/json"
        while True:
            got = yield Request(
                method=method,
                url=self.url + path,
                headers=headers,
                body=content,
                timeout=tries.timeout,
            )
            assert got is not None
            try:
                return _answer(got, kind)
            except RelayError as failure:
                pause = tries.pause(failure)
                log.info("%s %s again in %.2f s: %s", method, path, pause, failure)
            yield Pause(pause)


def _answer(got: Reply | Lost, kind: type[T]) -> tuple[Reply, T]:
    """Raises what came instead of the document."""
    if isinstance(got, Lost):
        raise NoAnswer(f"{type(got.error).__name__}: {got.error}") from got.error
    asked = got.headers.get("retry-after", "")
    retry_after = float(asked) if asked.isdecimal() else None
    try:
        if 200 <= got.status < 300:
            return got, msgspec.json.decode(got.body, type=kind)
        body = msgspec.json.decode(got.body, type=ProblemBody)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        text = got.headers.get("location") or got.body[:200].decode(errors="replace")
        raise ForeignAnswer(text, status=got.status, retry_after=retry_after) from error
    raise problem_of(body, status=got.status, retry_after=retry_after)


def _checked(url: str) -> str:
    """Raises ValueError, without what was given: it may be a secret in the wrong place."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("The URL of a gateway starts with http:// or https:// and has a host.")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("The URL of a gateway has no user, no query and no fragment.")
    return url.rstrip("/")


def _header(key: str) -> str:
    if not VISIBLE.fullmatch(key) or len(key) > 255:
        raise ValueError("An idempotency key has 1 to 255 visible ASCII characters.")
    # One that starts like a quoted string (RFC 8941) must be one.
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if key[0] == '"' else key


def _query(wanted: Mapping[str, object], cursor: str | None) -> str:
    given = {**wanted, "cursor": cursor}
    texts = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in given.items()
        if value is not None
    }
    return f"?{urlencode(texts)}" if texts else ""


def _request_id() -> str:
    return uuid.uuid4().hex


def _trace() -> dict[str, str]:
    """The caller's trace, where its process has loaded OpenTelemetry."""
    headers: dict[str, str] = {}
    if "opentelemetry.trace" in sys.modules:
        import_module("opentelemetry.propagate").inject(headers)
    return headers
