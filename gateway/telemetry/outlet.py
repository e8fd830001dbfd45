"""Lines on their way out: a thread writes them, so that whoever reads slowly stops no request."""

import logging
import threading
from collections import deque
from typing import TextIO

from gateway.telemetry import metrics

# A minute of a busy gateway; about 5 MB.
ROOM = 10_000
# Seconds in which lines gather: one system call for all of them.
GATHER = 0.02
# Seconds for what is left when the process ends.
PATIENCE = 1.0


class BackgroundWriter(logging.Handler):
    """Keeps up to `room` lines for its thread; what is more is dropped and counted."""

    def __init__(self, stream: TextIO, *, room: int = ROOM) -> None:
        super().__init__()
        self._stream = stream
        self._room = room
        self._lines: deque[str] = deque()
        self._some = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write, name="log-outlet", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._lines) >= self._room:
            metrics.lines_dropped.inc()
            return
        self._lines.append(self.format(record))
        if not self._some.is_set():
            self._some.set()

    def close(self) -> None:
        """Write what is left, as far as it goes in a second."""
        self._ended.set()
        self._some.set()
        self._thread.join(PATIENCE)
        super().close()

    def _write(self) -> None:
        while self._lines or not self._ended.is_set():
            self._some.wait()
            self._ended.wait(GATHER)
            self._some.clear()
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            try:
                self._stream.writelines(f"{line}\n" for line in lines)
                self._stream.flush()
            except (OSError, ValueError):  # full, broken, closed
                metrics.lines_dropped.inc(len(lines))
