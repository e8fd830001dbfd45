"""30 hostile targets: each send is bounded in time and memory, and holds up no other."""

import asyncio
import contextlib
import gc
import gzip
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.egress.client import Egress
from gateway.outcomes import Answered, NoResponse, Outcome
from tests.egress.test_client import effect, egress, send

__all__ = ["egress"]  # the fixture

MIB = 1024 * 1024
# Seconds: the deadline, what may come on top of it, and for how long one callback may run.
DEADLINE, OVERTIME, LAG = 0.4, 0.2, 0.05
ENDLESS = 1 << 40

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SIZED = OK + b"Content-Length: 999999999999\r\n\r\n"
BOMB = gzip.compress(b"\0" * 30 * MIB)
PACKED = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB)


class Hostile:
    """`start`, then `each` so many times. `drip`: seconds between two pieces."""

    def __init__(
        self, start: bytes, each: bytes = b"", times: int = 0, *, drip: float = 0.0, end: str = ""
    ) -> None:
        self.start, self.each, self.times = start, each, times
        self.drip, self.end = drip, end

    def serve(self, connection: socket.socket, many: bool) -> None:
        with connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.recv(65536)
            self._send(connection, self.start, many)
            block = self.each
            if not many and not self.drip and self.times > 100:
                block = self.each * max(1, 65536 // len(self.each))
            for _ in range(self.times * len(self.each) // max(1, len(block))):
                connection.sendall(block)
                time.sleep(self.drip or (0.0001 if many else 0.0))
            if self.end == "reset":
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            elif self.end == "hang":
                connection.recv(1)

    @staticmethod
    def _send(connection: socket.socket, data: bytes, many: bool) -> None:
        size = max(1, len(data) // 200) if many else len(data) or 1
        for begin in range(0, len(data), size):
            connection.sendall(data[begin : begin + size])


def hang(data: bytes) -> Hostile:
    return Hostile(data, end="hang")


# The outcome: a status, or None for `unknown`.
TARGETS: dict[str, tuple[Hostile, int | None]] = {
    "never answers": (hang(b""), None),
    "closes": (Hostile(b""), None),
    "resets": (Hostile(b"", end="reset"), None),
    "ssh": (hang(b"SSH-2.0-OpenSSH_9.2p1\r\n"), None),
    "binary": (hang(b"\x16\x03\x01\x00\x05\xff\xfe" * 50), None),
    "http/2": (hang(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" * 9), None),
    "status line drips": (Hostile(OK[:12], b"O", ENDLESS, drip=0.01), None),
    "head drips": (Hostile(OK, b"X: y\r\n", ENDLESS, drip=0.01), None),
    "head stops": (hang(OK + b"X: y\r\n"), None),
    "endless reason": (Hostile(OK[:13], b"a" * 64, ENDLESS), None),
    "endless value": (Hostile(OK + b"X: ", b"a" * 64, ENDLESS), None),
    "endless fields": (Hostile(OK, b"X: y\r\n", ENDLESS), None),
    "2 MB head": (hang(OK + b"X: " + b"a" * 2 * MIB + b"\r\n" + EMPTY), None),
    "5,000 fields": (hang(OK + b"X-Field: some value\r\n" * 5000 + EMPTY), 200),
    "endless 103": (Hostile(b"", b"HTTP/1.1 103 Early\r\n\r\n", ENDLESS), None),
    "103 drips": (Hostile(b"", b"HTTP/1.1 103 Early\r\n\r\n", ENDLESS, drip=0.01), None),
    "endless line ends": (Hostile(b"", b"\r\n" * 32, ENDLESS), None),
    "099": (hang(b"HTTP/1.1 099 X\r\n" + EMPTY), None),
    "1000": (hang(b"HTTP/1.1 1000 X\r\n" + EMPTY), None),
    "negative length": (hang(OK + b"Content-Length: -5\r\n\r\n"), None),
    "two lengths": (hang(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), None),
    "huge length": (hang(OK + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n"), None),
    "length and chunks": (hang(OK + b"Transfer-Encoding: chunked\r\n" + EMPTY), None),
    "zero byte": (hang(OK + b"X: \0\r\n" + EMPTY), None),
    "redirect": (
        hang(b"HTTP/1.1 302 X\r\nLocation: http://169.254.169.254/\r\n" + EMPTY),
        302,
    ),
    "101": (hang(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + b"x" * 999), 101),
    "204 with a body": (hang(b"HTTP/1.1 204 X\r\nContent-Length: 3\r\n\r\nabc"), 204),
    "two answers": (hang(OK + EMPTY + b"HTTP/1.1 500 X\r\n" + EMPTY), 200),
    "one byte of many": (hang(SIZED + b"a"), 200),
    "body drips": (Hostile(SIZED, b"a", ENDLESS, drip=0.01), 200),
    "endless body": (Hostile(OK + b"\r\n", b"a" * 64, ENDLESS), 200),
    "compression bomb": (hang(PACKED + BOMB), 200),
    "endless chunks": (Hostile(CHUNKED, b"40\r\n" + b"a" * 64 + b"\r\n", ENDLESS), 200),
    "endless small chunks": (Hostile(CHUNKED, b"1\r\na\r\n", ENDLESS), 200),
    "endless extension": (Hostile(CHUNKED + b"1;x=", b"a" * 64, ENDLESS), 200),
    "endless trailers": (Hostile(CHUNKED + b"0\r\n", b"X: y\r\n", ENDLESS), 200),
    "bad chunk": (hang(CHUNKED + b"1\r\na\r\nzz\r\n"), 200),
    "huge chunk": (hang(CHUNKED + b"F" * 30 + b"\r\n"), 200),
}  # fmt: skip


@contextlib.contextmanager
def serving(target: Hostile, *, many: bool) -> Iterator[str]:
    """Serve in threads: what the target itself computes is no lag of the event loop."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    thread = threading.Thread(target=target.serve, args=(connection, many))
                    thread.start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()


def memory(field: str) -> int:
    """Bytes: VmRSS is what is resident, VmHWM the most that was."""
    text = Path("/proc/self/status").read_text()
    found = re.search(rf"{field}:\s+(\d+) kB", text)
    assert found
    return int(found[1]) * 1024


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew


async def lag(stop: Callable[[], bool]) -> float:
    """The most CPU time of this thread between two turns of the loop, other processes apart."""
    worst, last = 0.0, time.thread_time()
    while not stop():
        await asyncio.sleep(0.001)
        now = time.thread_time()
        worst, last = max(worst, now - last), now
    return worst


class Sent(NamedTuple):
    """A send: its outcome, the seconds it took, the lag in seconds, the memory in bytes."""

    outcome: Outcome
    took: float
    lag: float
    memory: int


async def measured(egress: Egress, url: str) -> Sent:
    gc.collect()  # what other tests left would else be collected during the send
    reset_peak()
    before, ended = memory("VmRSS"), False
    watch = asyncio.create_task(lag(lambda: ended))
    began = time.monotonic()
    outcome = await send(egress, effect(url), within=DEADLINE)
    took, ended = time.monotonic() - began, True
    return Sent(outcome, took, await watch, memory("VmHWM") - before)


@pytest.mark.parametrize("many", [False, True], ids=["one segment", "many"])
@pytest.mark.parametrize(("target", "code"), TARGETS.values(), ids=TARGETS)
async def test_a_hostile_target_is_bounded(
    egress: Egress, target: Hostile, code: int | None, many: bool
) -> None:
    """By the deadline, by 8 MB, by 50 ms of the loop; and its outcome is the right one."""
    assert len(TARGETS) >= 30
    with serving(target, many=many) as url:
        sent = await measured(egress, url)
    assert sent.took < DEADLINE + OVERTIME
    assert sent.lag < LAG
    assert sent.memory < 8 * MIB
    if code is None:
        assert isinstance(sent.outcome, NoResponse)
    else:
        assert isinstance(sent.outcome, Answered)
        assert sent.outcome.status_code == code


async def test_without_its_limits_a_body_fills_the_memory(
    egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measurement notices it."""
    for limit in ("READ_MAX", "RECEIVED_MAX"):
        monkeypatch.setattr(f"gateway.egress.answer.{limit}", ENDLESS)
    with serving(TARGETS["endless body"][0], many=False) as url:
        assert (await measured(egress, url)).memory > 8 * MIB
