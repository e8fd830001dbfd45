"""A spy below the guard: every address that this process tries to connect to, none of them reached;
and a resolver that answers by a script.
"""

import asyncio
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address
from typing import Any

import pytest

# What one look-up answers: addresses, an error, or None for silence.
Answer = Sequence[str] | OSError | None


@contextmanager
def spied() -> Iterator[list[str]]:
    """The addresses of all connects of this block over IP, below asyncio and Relay alike. Each of
    them fails.

    It is no audit hook, which would stay in the process: a thread that starts while the hook runs
    cannot be traced by coverage (RuntimeError: "Cannot install a trace function").
    """
    seen: list[str] = []
    plain = socket.socket.connect

    def connect(sock: socket.socket, address: Any) -> None:
        if not isinstance(address, tuple):
            return plain(sock, address)
        seen.append(address[0])
        raise ConnectionRefusedError("the spy lets nothing through")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket.socket, "connect", connect)
        yield seen


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
