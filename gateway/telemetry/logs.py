"""Log lines: JSON where programs read them, colours where people do; ids on every line.

No line quotes what an exception said: it may hold a URL with a secret in it.
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
# A minute of a busy gateway; about 5 MB.
ROOM = 10_000
# Seconds in which lines gather: one system call for all of them.
GATHER = 0.02
# Seconds for what is left when the process ends.
PATIENCE = 1.0


def log_event(log: logging.Logger, event: str, fields: Mapping[str, Field]) -> None:
    """One line: an event with dots in its name, and what is to be known of it."""
    log.info(event, extra={"fields": fields})


def configure(*, lines: bool, stream: TextIO | None = None) -> None:
    """Log to `stream`, or stderr. `lines`: also the canonical lines, not only what went wrong."""
    stream = stream or sys.stderr
    handler: logging.Handler = logging.NullHandler()
    if stream:  # None: the process was started without
        handler = BackgroundWriter(stream)
        handler.setFormatter(ForPeople() if stream.isatty() else ForPrograms())
        handler.addFilter(_of_others)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("relay").setLevel(logging.INFO if lines else logging.WARNING)
    # The signed heads of the audit are evidence, not telemetry.
    logging.getLogger("relay.audit").setLevel(logging.INFO)
    logging.raiseExceptions = False  # a line that cannot be made stops nothing
    # Of one thread and one process nobody asks which, nor for the line that logs (logging's
    # HOWTO, optimization).
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _of_others(record: logging.LogRecord) -> bool:
    """Of what libraries say, only the sentence: they put headers, URLs and exceptions into it."""
    if not record.name.startswith("relay"):
        # asyncio shows the exceptions of tasks in what follows its first line.
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


def _facts(record: logging.LogRecord) -> dict[str, Field]:
    fields: dict[str, Field] = getattr(record, "fields", {})
    return fields


class ForPrograms(MsgspecFormatter):
    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        log_data["timestamp"] = datetime.fromtimestamp(record.created, UTC)
        log_data["level"] = record.levelname
        log_data["event"] = record.getMessage()
        log_data["logger"] = record.name
        log_data.update(_ids())
        log_data.update(_facts(record))
        log_data.update(message_dict)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return where(ei)


class ForPeople(logging.Formatter):
    """`12:03:11.004 http.request method=POST ...`; what could move the cursor is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).astimezone()
        fields = [
            f"{click.style(name, dim=True)}={_plain(str(value))}"
            for name, value in {**_facts(record), **_ids()}.items()
        ]
        event = click.style(_plain(record.getMessage()), fg=COLOURS.get(record.levelname, "green"))
        said = [click.style(f"{moment:%H:%M:%S.%f}"[:-3], dim=True), event, *fields]
        if record.exc_info:
            said.append(where(record.exc_info))
        return " ".join(said)


def _plain(text: str) -> str:
    return text if text.isprintable() else repr(text)


def where(ei: Any) -> str:
    """The exceptions, outermost first, and where they came from; not what they say."""
    parts: list[str] = []
    error: BaseException | None = ei[1]
    while error is not None and len(parts) < 5:
        frames = traceback.extract_tb(error.__traceback__)[-8:]
        places = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        parts.append(" < ".join([type(error).__name__, *reversed(places)]))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " | ".join(parts)


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
