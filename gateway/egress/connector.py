"""Connect to a target: only to addresses that the guard allows, one connection an attempt.

aiohttp sends GET, PUT and DELETE again when it loses a kept-alive connection. Here an attempt that
got a connection never gets a second one. The guard checks in the two places that every connection
passes: the resolver, and the creation of the socket.

The connector records that bytes may have been sent, and aiohttp's trace hooks do not: the same
place checks the deadline and prevents the second send, and it costs no tracing.
"""

import asyncio
import socket
import ssl
import time
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any, cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.egress.addresses import IPAddress
from gateway.egress.guard import Guard

# Seconds. Servers commonly close an idle connection after 5 s, and a send that meets the close is
# unknown.
IDLE_MAX = 4.0
# More than one process can use. Waiting for a free connection counts against the deadline.
CONNECTIONS_MAX = 512
# Bytes that a target may send on one connection for one request: the head, the part of the body
# that is read, and what was in flight when reading stopped. An endless series of interim responses
# (103) would otherwise keep the event loop parsing until the deadline: 14 s of CPU in 15 s.
RECEIVED_MAX = 512 * 1024


class Attempt:
    """One send. `deadline`: until when it may write. `written`: whether it got its connection."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.written = False
        self.approved: set[IPAddress] = set()

    @classmethod
    def start(cls, deadline: float) -> "Attempt":
        """Start the attempt of the current task. `deadline`: on the monotonic clock."""
        attempt = cls(deadline)
        _attempt.set(attempt)
        return attempt


_attempt: ContextVar[Attempt] = ContextVar("attempt")


class SecondSend(aiohttp.ClientError):
    """The attempt had a connection, which may have been written to."""


class GuardedResolver(AbstractResolver):
    """Refuse a name unless every address of it is allowed. Raises TargetRefusal, OSError."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: int = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            answers = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM, family=family
            )
        except UnicodeError as error:  # an empty label, or one of more than 63 characters
            raise OSError(str(error)) from error
        if not answers:
            raise OSError("the resolver answered without an address")
        for answer in answers:
            self._guard.check_address(ip_address(answer[4][0]), port=port, host=host)
        if attempt := _attempt.get(None):
            attempt.approved.update(ip_address(answer[4][0]) for answer in answers)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=family,
                proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
            for family, _, proto, _, address in answers
        ]

    async def close(self) -> None:
        """Holds nothing that needs closing."""


class GuardedConnector(aiohttp.TCPConnector):
    """The last check before a send: aiohttp writes to the returned connection at once."""

    def __init__(self, guard: Guard, *, tls: ssl.SSLContext | bool) -> None:
        super().__init__(
            resolver=GuardedResolver(guard),
            use_dns_cache=False,
            socket_factory=self._make_socket,
            keepalive_timeout=IDLE_MAX,
            limit=CONNECTIONS_MAX,
            ssl=tls,
        )
        self._guard = guard

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
        attempt = _attempt.get()
        if attempt.written:
            raise SecondSend
        connection = await super().connect(req, traces, timeout)
        if connection.protocol and connection.protocol.should_close:
            # The target sent bytes before this request; they must not become its response.
            connection.close()
            connection = await super().connect(req, traces, timeout)
        # Read the clock here, so that a process that was suspended does not send late.
        if time.monotonic() >= attempt.deadline:
            connection.release()
            raise TimeoutError
        attempt.written = True
        if connection.transport:
            limit_received(connection.transport)
        return connection

    def _make_socket(self, address_info: Any) -> socket.socket:
        family, kind, protocol, _, (host, port, *_) = address_info
        address = ip_address(host)
        if address not in _attempt.get().approved:  # an IP literal skips the resolver
            self._guard.check_address(address, port=port)
        return socket.socket(family, kind, protocol)


def limit_received(transport: asyncio.Transport) -> None:
    """Abort the connection if it receives more than RECEIVED_MAX from now on."""
    protocol = transport.get_protocol()
    if isinstance(protocol, _ReceiveLimit):
        protocol.left = RECEIVED_MAX
    else:
        transport.set_protocol(_ReceiveLimit(cast(asyncio.Protocol, protocol), transport))


class _ReceiveLimit(asyncio.Protocol):
    """Passes everything on to the protocol of the HTTP client."""

    def __init__(self, inner: asyncio.Protocol, transport: asyncio.Transport) -> None:
        self._inner, self._transport = inner, transport
        self.left = RECEIVED_MAX

    def data_received(self, data: bytes) -> None:
        self.left -= len(data)
        if self.left < 0:
            self._transport.abort()
        else:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
