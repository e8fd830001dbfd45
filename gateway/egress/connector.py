"""Dial a target: only addresses that the guard has seen, one connection an attempt.

Whatever the client library would like (aiohttp sends GET, PUT and DELETE again
when a kept-alive connection is lost), an attempt that was given its connection
gets no second one. The guard stands in the two places that no way around
leads past: the resolver, and the making of the socket.
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

from gateway.egress.guard import Guard, IPAddress

# Servers commonly close an idle connection after 5 s; a send that meets the
# closing is unknown.
IDLE_MAX = 4.0
# Far above what one process can run; what waits for a place counts against its deadline.
CONNECTIONS_MAX = 512
# The head, what is read of the body, and what was on its way when reading stopped.
RECEIVED_MAX = 512 * 1024


class Attempt:
    """One send: until when it may write, and whether it was given its connection."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.written = False
        self.approved: set[IPAddress] = set()

    @classmethod
    def begin(cls, deadline: float) -> "Attempt":
        """The attempt of the current task. `deadline`: on the monotonic clock."""
        attempt = cls(deadline)
        _attempt.set(attempt)
        return attempt


_attempt: ContextVar[Attempt] = ContextVar("attempt")


class SecondSend(aiohttp.ClientError):
    """The attempt had its connection; it may have been written to."""


class GuardedResolver(AbstractResolver):
    """Refuses a name unless every address it resolves to is allowed. Raises Refused, OSError."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: int = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            answers = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM, family=family
            )
        except UnicodeError as error:  # an empty label, or one of more than 63 letters
            raise OSError(str(error)) from error
        for answer in answers:
            self._guard.check_address(ip_address(answer[4][0]), host=host)
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
        """Nothing is held."""


class GuardedConnector(aiohttp.TCPConnector):
    """The last gate: the connection that `connect` returns is written to at once."""

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
            # Bytes came that nobody had asked for; they must not answer this request.
            connection.close()
            connection = await super().connect(req, traces, timeout)
        # Our own clock, read now: a process that was paused must not send late.
        if time.monotonic() >= attempt.deadline:
            connection.release()
            raise TimeoutError
        attempt.written = True
        if connection.transport:
            allow(connection.transport)
        return connection

    def _make_socket(self, address_info: Any) -> socket.socket:
        family, kind, protocol, _, (host, *_) = address_info
        address = ip_address(host)
        if address not in _attempt.get().approved:  # a literal never met the resolver
            self._guard.check_address(address)
        return socket.socket(family, kind, protocol)


def allow(transport: asyncio.Transport) -> None:
    """From now on, as much as one answer may be; a connection that sends more is ended."""
    protocol = transport.get_protocol()
    if isinstance(protocol, _Allowance):
        protocol.left = RECEIVED_MAX
    else:
        transport.set_protocol(_Allowance(cast(asyncio.Protocol, protocol), transport))


class _Allowance(asyncio.Protocol):
    """Stands before the protocol of the HTTP client, and hands everything on."""

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
