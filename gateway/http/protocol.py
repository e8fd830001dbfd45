"""The edge of HTTP: one request of a connection at a time, bounded in bytes and in time.

uvicorn bounds neither heads, nor how long they take, nor how many requests one read may begin: one
connection took 2 GB. What is not HTTP gets a problem.
"""

import asyncio
from http import HTTPStatus
from typing import Any, NamedTuple, cast
from uuid import uuid4
from weakref import ref

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import problems
from gateway.http.heads import checked
from gateway.http.middleware import ALWAYS, RequestContext
from gateway.http.responses import problem_response
from gateway.http.transport import JoinedWrites
from gateway.problem import Problem

# Bytes around the body: the request line, headers, trailers.
HEAD_MAX = 64 * 1024
# Bytes of chunk framing for each byte of a body: "1\r\nx\r\n" takes 5.
FRAMING_MAX = 8
END_OF_HEAD = b"\r\n\r\n"
# Bytes around bodies that one turn of the event loop parses, in at most 2 ms: a read of 256 KiB may
# hold 40,000 chunks.
TURN_MAX = 8 * 1024


class Patience(NamedTuple):
    """Seconds that a client may take for a head, and for the body behind it."""

    head: float = 10.0
    body: float = 30.0


PATIENCE = Patience()


class UpgradeIgnored(httptools.HttpRequestParser):
    """A parser that reads a request with `Upgrade` by its framing, as RFC 9110, 7.8 allows.

    llhttp stops behind such a head: the body would be lost, and the bytes after it would be read as
    a new request. Another parser reads the head again without the header, and then the rest: this
    one is closed if the connection ends with the request.
    """

    def __init__(self, protocol: "ProblemProtocol") -> None:
        super().__init__(protocol)
        self._protocol = protocol
        # As uvicorn does: answer the request although data follows its `Connection: close`.
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        """Raises HttpParserError."""
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            head = self._protocol.head_without_upgrade()
            self._protocol.parser = UpgradeIgnored(self._protocol)
            self._protocol.parser.feed_data(head + data[upgrade.args[0] :])


class ProblemProtocol(HttpToolsProtocol):
    """`_unread`: what was received behind a request that has no response yet. `_tail`: the last
    bytes that were parsed, for the end of a head that comes in two reads.
    """

    def __init__(self, *args: Any, patience: Patience = PATIENCE, **given: Any) -> None:
        super().__init__(*args, **given)
        self._patience = patience
        self._unread = self._tail = b""
        self._around, self._allowed = 0, HEAD_MAX
        self._body_left = 0
        self._headed, self._whole = False, True
        self._turn: asyncio.Handle | None = None
        self._waiting: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.parser = UpgradeIgnored(self)
        weakly = ref(self)  # a circle would wait for the collector
        self._joined = JoinedWrites(transport, lambda: (it := weakly()) is not None and it.is_cut)
        super().connection_made(cast(asyncio.Transport, self._joined))
        self._wait(self._patience.head)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        self._unread = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._whole and not data.strip(b"\r\n"):
            return  # empty lines before a request (RFC 9112, 2.2)
        self._unread += data
        self._read()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._unread:
            self._read()

    def _read(self) -> None:
        """Parse what was received up to the end of a request; the next one waits for the response,
        so that a read of 7,000 requests begins one. The rest of many chunks waits for another turn.
        """
        self._unset_keepalive_if_required()
        data, at, left = self._unread, 0, TURN_MAX
        while at < len(data) and left > 0 and self._reading:
            sized, end = self._body_left, self._end_of_part(data, at)
            self._parse(data[at:end])
            left -= 0 if sized else end - at
            at = end
        self._unread = data[at:]
        self._tail = (self._tail + data[max(at - 3, 0) : at])[-3:]
        if self._unread and self._answering:
            self.flow.pause_reading()
        self._set_turn()
        self._set_timers()

    def _set_turn(self) -> None:
        """What is left of a read is parsed in the next turn, and nothing more is read before."""
        left = bool(self._unread) and self._reading
        self._joined.hold(left)
        if left and self._turn is None:
            self._turn = self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        self._turn = None
        self._read()

    @property
    def _reading(self) -> bool:
        return not self._answering and not self.transport.is_closing()

    @property
    def is_cut(self) -> bool:
        """The app returned before the end of its response, as for a client that does not read."""
        if (it := self.cycle) is None or it.disconnected:
            return False
        return it.response_started and not it.response_complete

    @property
    def _answering(self) -> bool:
        return self._whole and self.cycle is not None and not self.cycle.response_complete

    def _end_of_part(self, data: bytes, at: int) -> int:
        """No part goes beyond the end of a request: heads, trailers and last chunks end alike."""
        if self._body_left:
            return at + self._body_left
        if at == 0 and (found := (self._tail + data[:3]).find(END_OF_HEAD)) >= 0:
            return found + len(END_OF_HEAD) - len(self._tail)
        found = data.find(END_OF_HEAD, at, at + TURN_MAX)
        return min(at + TURN_MAX, len(data)) if found < 0 else found + len(END_OF_HEAD)

    def _parse(self, part: bytes) -> None:
        self._around += len(part)
        try:
            self.parser.feed_data(part)
            self._check_size()
        except httptools.HttpParserError as error:
            self._refuse(_problem(error))
        except Problem as problem:
            self._refuse(problem)

    def _check_size(self) -> None:
        if self._around > self._allowed:
            raise problems.InvalidRequest(f"The headers have more than {HEAD_MAX} bytes.")

    def _set_timers(self) -> None:
        """A timer while we wait for the client; none while it waits for us."""
        if self._answering:
            self._wait(None)
        elif not self._whole:
            self._wait(self._patience.body if self._headed else self._patience.head)
        elif self.timeout_keep_alive_task is None and not self.transport.is_closing():
            # The response was complete before the request.
            self._wait(None)
            self.on_response_complete()

    def _wait(self, seconds: float | None) -> None:
        if seconds == self._waiting:
            return
        self._waiting = seconds
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._too_slow) if seconds else None

    def _too_slow(self) -> None:
        if self._whole:  # a connection without a request
            self.transport.close()
        else:
            self._refuse(problems.RequestTimeout(f"It took longer than {self._waiting} s."))

    def head_without_upgrade(self) -> bytes:
        """The last head without Upgrade. Raises HttpParserError for CONNECT."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            raise httptools.HttpParserInvalidMethodError("CONNECT")
        lines = [b"%s %s HTTP/%s" % (method, self.url, version.encode())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        self._headed = self._whole = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """White space behind a value is no part of it (RFC 9112, 5.1)."""
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._check_size()
        version = self.parser.get_http_version()
        fields = checked(version, self.url, self.headers)
        expected = fields.get(b"expect", b"").lower()
        # RFC 9110, 10.1.1: HTTP/1.0 knows no 100 Continue.
        self.expect_100_continue = version == "1.1" and expected == b"100-continue"
        self._body_left = int(fields.get(b"content-length", 0))
        super().on_headers_complete()
        self._headed = True
        # Trailers follow, which must not count as headers (RFC 9110, 6.5.1).
        self.headers = []

    def on_body(self, body: bytes) -> None:
        if self._body_left:
            self._body_left -= len(body)
        self._around -= len(body)
        self._allowed += FRAMING_MAX * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._check_size()
        self._around, self._allowed = 0, HEAD_MAX
        self._whole = True
        super().on_message_complete()

    def _refuse(self, problem: Problem) -> None:
        """Answer with a problem, unless a response has begun, and close. The app learns at most
        that its client has gone.
        """
        answered = False
        if self._headed and not self._whole:
            answered = self.cycle.response_started
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not answered:
            self.transport.write(self._response(problem))
        self.transport.close()

    def _response(self, problem: Problem) -> bytes:
        request_id = str(uuid4())
        response = problem_response(problem, request_id)
        if isinstance(self.app, RequestContext):
            self.app.unparsed(request_id, response.status_code)
        head = f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}\r\n"
        headers = [*response.raw_headers, *ALWAYS, (b"x-request-id", request_id.encode())]
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        lines += [b"connection: close\r\n\r\n", bytes(response.body)]
        return head.encode() + b"".join(lines)


def _problem(error: httptools.HttpParserError) -> Problem:
    if isinstance(error.__context__, Problem):  # raised in a callback of the parser
        return error.__context__
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return problems.MethodNotAllowed(
            "No path accepts this method.", headers={"Allow": "GET, POST"}
        )
    return problems.InvalidRequest("Invalid HTTP request received.")
