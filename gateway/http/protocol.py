"""The edge of HTTP: one request of a connection at a time, bounded in bytes and in time.

uvicorn bounds neither heads, nor how long they take, nor how many requests one read may begin: one
connection took 2 GB. What is not HTTP gets a problem.
"""

import asyncio
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple, cast
from uuid import uuid4

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import problems
from gateway.http.middleware import ALWAYS, Header, RequestContext
from gateway.http.responses import problem_response

# Bytes around the body: the request line, headers, trailers.
HEAD_MAX = 64 * 1024
# Bytes of chunk framing for each byte of a body: "1\r\nx\r\n" takes 5.
FRAMING_MAX = 8
END_OF_HEAD = b"\r\n\r\n"
# RFC 9110, 7.2: a name, an IPv4 address or an IP literal, and a port. Not empty (4.2.1).
HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


class Patience(NamedTuple):
    """Seconds that a client may take for a head, and for the body behind it."""

    head: float = 10.0
    body: float = 30.0


PATIENCE = Patience()


class JoinedWrites:
    """A transport that sends in one write all that one turn of the event loop wrote.

    uvicorn writes head and body separately. That takes a second system call, and a gateway killed
    between the two leaves half a response, which no proxy can retry.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._parts:
            asyncio.get_running_loop().call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts and not self._transport.is_closing():
            self._transport.write(b"".join(self._parts))
        self._parts.clear()


class UpgradeIgnored(httptools.HttpRequestParser):
    """A parser that reads a request with `Upgrade` by its framing, as RFC 9110, 7.8 allows.

    llhttp stops behind such a head: the body would be lost, and the bytes after it would be read as
    a new request. This parser reads the head again without the header, and then the rest.
    """

    def __init__(self, protocol: "ProblemProtocol") -> None:
        super().__init__(protocol)
        self._protocol = protocol

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        """Raises HttpParserError."""
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.feed_data(self._protocol.head_without_upgrade() + data[upgrade.args[0] :])


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
        self._waiting: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.parser = UpgradeIgnored(self)
        # As uvicorn does: answer the request although data follows its `Connection: close`.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        super().connection_made(cast(asyncio.Transport, JoinedWrites(transport)))
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
        so that a read of 7,000 requests begins one.
        """
        self._unset_keepalive_if_required()
        data, at = self._unread, 0
        while at < len(data) and not self._answering and not self.transport.is_closing():
            end = self._end_of_part(data, at)
            self._parse(data[at:end])
            at = end
        self._unread = data[at:]
        self._tail = (self._tail + data[max(at - 3, 0) : at])[-3:]
        if self._unread and self._answering:
            self.flow.pause_reading()
        self._set_timers()

    @property
    def _answering(self) -> bool:
        return self._whole and self.cycle is not None and not self.cycle.response_complete

    def _end_of_part(self, data: bytes, at: int) -> int:
        """No part goes beyond the end of a request: heads, trailers and last chunks end alike."""
        if self._body_left:
            return at + self._body_left
        if at == 0 and (found := (self._tail + data[:3]).find(END_OF_HEAD)) >= 0:
            return found + len(END_OF_HEAD) - len(self._tail)
        found = data.find(END_OF_HEAD, at)
        return len(data) if found < 0 else found + len(END_OF_HEAD)

    def _parse(self, part: bytes) -> None:
        self._around += len(part)
        try:
            self.parser.feed_data(part)
            self._check_size()
        except httptools.HttpParserError as error:
            self._refuse(_problem(error))
        except problems.Problem as problem:
            self._refuse(problem)

    def _check_size(self) -> None:
        if self._around > self._allowed:
            raise problems.InvalidRequest(f"The headers have more than {HEAD_MAX} bytes.")

    def _set_timers(self) -> None:
        """A timer for what is awaited of the client; none while it waits for us."""
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
        fields = _checked(version, self.url, self.headers)
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

    def _refuse(self, problem: problems.Problem) -> None:
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

    def _response(self, problem: problems.Problem) -> bytes:
        request_id = str(uuid4())
        response = problem_response(problem, request_id)
        if isinstance(self.app, RequestContext):
            self.app.unparsed(request_id, response.status_code)
        head = f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}\r\n"
        headers = [*response.raw_headers, *ALWAYS, (b"x-request-id", request_id.encode())]
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        lines += [b"connection: close\r\n\r\n", bytes(response.body)]
        return head.encode() + b"".join(lines)


def _checked(version: str, url: bytes, headers: Sequence[Header]) -> dict[bytes, bytes]:
    """The fields of a head, the last of each name. Raises Problem for a head that two servers
    could read differently.
    """
    fields = dict(headers)
    if version not in ("1.0", "1.1"):
        raise problems.InvalidRequest("Relay speaks HTTP/1.1.")
    if b"#" in url or url == b"*":
        raise problems.InvalidRequest("This is no path of Relay (RFC 9112, 3.2).")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or not all(map(HOST.fullmatch, hosts)) or (version == "1.1" and not hosts):
        raise problems.InvalidRequest("Send one valid Host (RFC 9112, 3.2).")
    if b"transfer-encoding" in fields:
        codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
        if version == "1.0":
            raise problems.InvalidRequest("HTTP/1.0 has no Transfer-Encoding (RFC 9112, 6.1).")
        if codings != [b"chunked"]:
            raise problems.UnknownTransferCoding("The one transfer coding is chunked.")
    return fields


def _problem(error: httptools.HttpParserError) -> problems.Problem:
    if isinstance(error.__context__, problems.Problem):  # raised in a callback of the parser
        return error.__context__
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return problems.MethodNotAllowed(
            "No path accepts this method.", headers={"Allow": "GET, POST"}
        )
    return problems.InvalidRequest("Invalid HTTP request received.")
