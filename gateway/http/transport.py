"""What stands between the protocol of a connection and its transport."""

import asyncio
from collections.abc import Callable
from typing import Any


class JoinedWrites:
    """A transport that sends in one write all that one turn of the event loop wrote. While it is
    held it reads nothing, although the application may be ready for more.

    uvicorn writes head and body separately. That takes a second system call, and a gateway killed
    between the two leaves half a response, which no proxy can retry.
    """

    def __init__(self, transport: asyncio.Transport, is_cut: Callable[[], bool]) -> None:
        """`is_cut`: whether half a response is all that the client will get."""
        self._transport, self._is_cut = transport, is_cut
        self._parts: list[bytes] = []
        self._paused = self._held = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._parts:
            asyncio.get_running_loop().call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """What a client has not read of half a response is not kept for it."""
        if self._is_cut():
            self._transport.abort()
            return
        self._flush()
        self._transport.close()

    def pause_reading(self) -> None:
        self._read(paused=True, held=self._held)

    def resume_reading(self) -> None:
        self._read(paused=False, held=self._held)

    def hold(self, held: bool) -> None:
        if held != self._held:
            self._read(paused=self._paused, held=held)

    def _read(self, *, paused: bool, held: bool) -> None:
        stopped = self._paused or self._held
        self._paused, self._held = paused, held
        if stopped == (paused or held) or self._transport.is_closing():
            return
        if stopped:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _flush(self) -> None:
        if self._parts and not self._transport.is_closing():
            self._transport.write(b"".join(self._parts))
        self._parts.clear()
