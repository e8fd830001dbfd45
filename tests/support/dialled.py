"""A spy below the guard: every address that this process tries to connect to, none of them reached;
and a resolver that answers by a script.
"""

import asyncio
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address
from typing import Any

# What one look-up answers: addresses, an error, or None for silence.
Answer = Sequence[str] | OSError | None

_seen: list[str] | None = None


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _seen is not None and event == "socket.connect" and isinstance(args[1], tuple):
        _seen.append(args[1][0])
        raise ConnectionRefusedError("the spy lets nothing through")


sys.addaudithook(_audit)  # below asyncio, aiohttp and Relay alike; it cannot be removed


@contextmanager
def spied() -> Iterator[list[str]]:
    """The addresses of all connects of this block over IP. Each of them fails."""
    global _seen  # noqa: PLW0603
    seen: list[str] = []
    _seen = seen
    try:
        yield seen
    finally:
        _seen = None


class Resolver:
    """Answers the machine's look-ups: each name has its answers in turn, and the last one stays."""

    def __init__(self, scripts: Mapping[str, Sequence[Answer]], otherwise: Answer = None) -> None:
        self._scripts = {name: list(script) for name, script in scripts.items()}
        self._otherwise = otherwise

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        script = self._scripts.get(host.lower().rstrip("."), [self._otherwise])
        answer = script.pop(0) if len(script) > 1 else script[0]
        if answer is None:
            await asyncio.get_running_loop().create_future()
        if isinstance(answer, OSError):
            raise answer
        return [_info(address, port) for address in answer or ()]


def _info(text: str, port: int) -> Any:
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (text, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port))
