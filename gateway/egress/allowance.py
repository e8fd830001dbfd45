"""How much a target may send on one connection for one request.

An endless row of interim answers (103) would otherwise keep the event loop
parsing for as long as the deadline lets it: 14 s of CPU in 15 s.
"""

import asyncio
from typing import cast

# The head, what is read of the body, and what was on its way when reading stopped.
RECEIVED_MAX = 512 * 1024


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
