"""The edge of HTTP: heads are bounded, and what is not HTTP gets a problem.

uvicorn sets no limit to headers and trailers; one connection took 2 GB.
"""

import asyncio
import sys
from http import HTTPStatus
from typing import Any, cast
from uuid import uuid4

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import problems
from gateway.http.middleware import ALWAYS, RequestContext
from gateway.http.responses import problem_response

# Bytes around the body: the request line, headers, trailers.
HEAD_MAX = 64 * 1024
# Bytes of chunk framing for each byte of a body: "1\r\nx\r\n" takes 5.
FRAMING_MAX = 8


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
        if self._parts:
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
        while True:
            try:
                super().feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._protocol.head_without_upgrade() + data[upgrade.args[0] :]
            else:
                return


class ProblemProtocol(HttpToolsProtocol):
    _around = 0
    _allowed = HEAD_MAX

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.parser = UpgradeIgnored(self)
        # As uvicorn does: answer the request although data follows its `Connection: close`.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        super().connection_made(cast(asyncio.Transport, JoinedWrites(transport)))

    def head_without_upgrade(self) -> bytes:
        """The last head without Upgrade. Raises HttpParserError for CONNECT."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            raise httptools.HttpParserInvalidMethodError("CONNECT")
        lines = [b"%s %s HTTP/%s" % (method, self.url, version.encode())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        super().on_headers_complete()
        # Trailers follow, which must not count as headers (RFC 9110, 6.5.1).
        self.headers = []

    def data_received(self, data: bytes) -> None:
        self._around += len(data)
        super().data_received(data)
        if self._around > self._allowed and not self.transport.is_closing():
            self.send_400_response(f"The headers have more than {HEAD_MAX} bytes.")

    def on_body(self, body: bytes) -> None:
        self._around -= len(body)
        self._allowed += FRAMING_MAX * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._around, self._allowed = 0, HEAD_MAX
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer with a problem: the app never sees it. `msg`: uvicorn's plain text."""
        request_id = str(uuid4())
        response = problem_response(_problem(sys.exc_info()[1], msg), request_id)
        if isinstance(self.app, RequestContext):
            self.app.unparsed(request_id, response.status_code)
        head = f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}\r\n"
        headers = [*response.raw_headers, *ALWAYS, (b"x-request-id", request_id.encode())]
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        lines += [b"connection: close\r\n\r\n", bytes(response.body)]
        self.transport.write(head.encode() + b"".join(lines))
        self.transport.close()


def _problem(error: BaseException | None, detail: str) -> problems.Problem:
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return problems.MethodNotAllowed(
            "No path accepts this method.", headers={"Allow": "GET, POST"}
        )
    return problems.InvalidRequest(detail)
