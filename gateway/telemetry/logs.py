"""Log lines: JSON for programs, colours on a terminal; request and trace ids on every line.

No line quotes the message of an exception, which may hold a URL with a secret in it.
python-json-logger writes the JSON; structlog would load rich, which takes 6 MB.
"""

import logging
import sys
import threading
import traceback
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import click
from pythonjsonlogger.msgspec import MsgspecFormatter

from gateway.telemetry import metrics
from gateway.telemetry.spans import Field, current

COLOURS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
# Lines that wait for the thread: a minute of a busy gateway, about 5 MB.
ROOM = 10_000
# Seconds for which the thread collects lines, to write them with one system call.
GATHER = 0.02
# Seconds to write the remaining lines when the process ends.
PATIENCE = 1.0


def log_event(log: logging.Logger, event: str, fields: Mapping[str, Field]) -> None:
    """Write one line: the dotted name of an event, and its fields."""
    log.info(event, extra={"fields": fields})


def configure(*, lines: bool, stream: TextIO | None = None) -> None:
    """Log to `stream`, or stderr. `lines`: whether to log canonical lines beside warnings."""
    stream = stream or sys.stderr
    handler: logging.Handler = logging.NullHandler()
    if stream:  # sys.stderr is None if the process was started without it
        handler = BackgroundWriter(stream)
        handler.setFormatter(TerminalFormatter() if stream.isatty() else JsonFormatter())
        handler.addFilter(_only_templates_of_libraries)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("relay").setLevel(logging.INFO if lines else logging.WARNING)
    # The signed heads of the audit are evidence, not telemetry.
    logging.getLogger("relay.audit").setLevel(logging.INFO)
    logging.raiseExceptions = False  # a line that cannot be formatted stops nothing
    # No line names its thread, its process or its source line (logging's HOWTO, optimization).
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _only_templates_of_libraries(record: logging.LogRecord) -> bool:
    """Drop the arguments of libraries' messages: they are headers, URLs and exceptions."""
    if not record.name.startswith("relay"):
        # asyncio puts the exception of a task behind the first line.
        record.msg, record.args = str(record.msg).partition("\n")[0], ()
    return True


def _ids() -> dict[str, str]:
    span = current()
    if span.trace.id:
        return {
            "request_id": span.trace.request_id,
            "trace_id": f"{span.trace.id:032x}",
            "span_id": f"{span.id:016x}",
        }
    return {"request_id": span.trace.request_id} if span.trace.request_id else {}


def _fields(record: logging.LogRecord) -> dict[str, Field]:
    fields: dict[str, Field] = getattr(record, "fields", {})
    return fields


class JsonFormatter(MsgspecFormatter):
    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        log_data["timestamp"] = datetime.fromtimestamp(record.created, UTC)
        log_data["level"] = record.levelname
        log_data["event"] = record.getMessage()
        log_data["logger"] = record.name
        log_data.update(_ids())
        log_data.update(_fields(record))
        log_data.update(message_dict)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return exception_frames(ei)


class TerminalFormatter(logging.Formatter):
    """`12:03:11.004 http.request method=POST ...`; characters that move the cursor are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).astimezone()
        fields = [
            f"{click.style(name, dim=True)}={_plain(str(value))}"
            for name, value in {**_fields(record), **_ids()}.items()
        ]
        event = click.style(_plain(record.getMessage()), fg=COLOURS.get(record.levelname, "green"))
        parts = [click.style(f"{time:%H:%M:%S.%f}"[:-3], dim=True), event, *fields]
        if record.exc_info:
            parts.append(exception_frames(record.exc_info))
        return " ".join(parts)


def _plain(text: str) -> str:
    return text if text.isprintable() else repr(text)


def exception_frames(ei: Any) -> str:
    """The types of the exceptions, outermost first, and their frames; not their messages."""
    parts: list[str] = []
    error: BaseException | None = ei[1]
    while error is not None and len(parts) < 5:
        frames = traceback.extract_tb(error.__traceback__)[-8:]
        calls = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        parts.append(" < ".join([type(error).__name__, *reversed(calls)]))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " | ".join(parts)


class BackgroundWriter(logging.Handler):
    """Write lines in a thread; keep up to `room` of them, and count those that are dropped.

    When the event loop wrote them, a log reader that stopped reading delayed it beyond leases, and
    a send whose response was known became `unknown`. The standard library's QueueHandler and
    QueueListener take twice the CPU, 14 microseconds a line instead of 7.5: they lock, wake the
    thread and write for each line.
    """

    def __init__(self, stream: TextIO, *, room: int = ROOM) -> None:
        super().__init__()
        self._stream = stream
        self._room = room
        self._lines: deque[str] = deque()
        self._waiting = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write, name="log-writer", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._lines) >= self._room:
            metrics.lines_dropped.inc()
            return
        self._lines.append(self.format(record))
        if not self._waiting.is_set():
            self._waiting.set()

    def close(self) -> None:
        """Write the remaining lines, for up to a second."""
        self._ended.set()
        self._waiting.set()
        self._thread.join(PATIENCE)
        super().close()

    def _write(self) -> None:
        while self._lines or not self._ended.is_set():
            self._waiting.wait()
            self._ended.wait(GATHER)
            self._waiting.clear()
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            try:
                self._stream.writelines(f"{line}\n" for line in lines)
                self._stream.flush()
            except (OSError, ValueError):  # a full disk, a broken pipe, a closed stream
                metrics.lines_dropped.inc(len(lines))
