"""Log lines: JSON for programs, colours on a terminal; request and trace ids on every line.

No line quotes the message of an exception, which may hold a URL with a secret in it.
"""

import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import click
import msgspec

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
    """Write one line: the dotted name of an event, and its fields.

    Where JSON goes to one writer alone it takes 4 microseconds; a LogRecord makes that 8.
    """
    if not log.isEnabledFor(logging.INFO):
        return
    match _handlers(log):
        case [BackgroundWriter(json=True) as writer]:
            writer.put(_json_line(time.time(), "INFO", event, log.name, fields))
        case _:
            log.info(event, extra={"fields": fields})


def _handlers(log: logging.Logger | None) -> list[logging.Handler]:
    """The handlers that get a line of this logger."""
    handlers: list[logging.Handler] = []
    while log:
        handlers += log.handlers
        log = log.parent
    return handlers


def configure(*, lines: bool, stream: TextIO | None = None) -> None:
    """Log to `stream`, or stderr. `lines`: whether to log canonical lines beside warnings."""
    stream = stream or sys.stderr
    handler: logging.Handler = logging.NullHandler()
    if stream:  # sys.stderr is None if the process was started without it
        handler = BackgroundWriter(stream, json=not stream.isatty())
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


def _json_line(
    at: float, level: str, event: str, logger: str, fields: Mapping[str, Field], **more: str
) -> str:
    line = {
        "timestamp": datetime.fromtimestamp(at, UTC),
        "level": level,
        "event": event,
        "logger": logger,
        **_ids(),
        **fields,
        **more,
    }
    return msgspec.json.encode(line).decode()


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        more = {"exc_info": exception_frames(record.exc_info)} if record.exc_info else {}
        event, fields = record.getMessage(), _fields(record)
        return _json_line(record.created, record.levelname, event, record.name, fields, **more)


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
    `json`: as JSON, else for a terminal.

    When the event loop wrote them, a log reader that stopped reading delayed it beyond leases, and
    a send whose response was known became `unknown`. The standard library's QueueHandler and
    QueueListener take twice the CPU, 14 microseconds a line instead of 7.5: they lock, wake the
    thread and write for each line.
    """

    def __init__(self, stream: TextIO, *, json: bool = True, room: int = ROOM) -> None:
        super().__init__()
        self.json = json
        self.setFormatter(JsonFormatter() if json else TerminalFormatter())
        self._stream = stream
        self._room = room
        self._lines: deque[str] = deque()
        self._waiting = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write, name="log-writer", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        self.put(self.format(record))

    def put(self, line: str) -> None:
        if len(self._lines) >= self._room:
            metrics.lines_dropped.inc()
            return
        self._lines.append(line)
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
                # One write: stderr is line-buffered, and `writelines` calls the system for each.
                self._stream.write("\n".join([*lines, ""]))
                self._stream.flush()
            except (OSError, ValueError):  # a full disk, a broken pipe, a closed stream
                metrics.lines_dropped.inc(len(lines))
