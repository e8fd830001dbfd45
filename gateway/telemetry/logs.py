"""Log lines: JSON where programs read them, colours where people do; ids on every line.

No line quotes what an exception said: it may hold a URL with a secret in it.
"""

import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

import click
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.msgspec import MsgspecFormatter

from gateway.telemetry.spans import current

FIELDS = ("timestamp", "levelname", "message", "name")
COLOURS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def configure(*, lines: bool, stream: TextIO = sys.stderr) -> None:
    """Log to `stream`. `lines`: also the canonical lines, not only what went wrong."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(ForPeople() if stream.isatty() else ForPrograms())
    handler.addFilter(_with_ids)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("relay").setLevel(logging.INFO if lines else logging.WARNING)


def _with_ids(record: logging.LogRecord) -> bool:
    span = current()
    if span.trace.request_id:
        record.request_id = span.trace.request_id
    if span.trace.id:
        record.trace_id, record.span_id = f"{span.trace.id:032x}", f"{span.id:016x}"
    if record.name == "asyncio":  # its further lines show the exceptions of tasks
        record.msg, record.args = record.getMessage().partition("\n")[0], ()
    return True


class ForPrograms(MsgspecFormatter):
    def __init__(self) -> None:
        super().__init__(
            FIELDS[1:],
            timestamp=True,
            rename_fields={"levelname": "level", "name": "logger", "message": "event"},
        )

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return where(ei)


class ForPeople(logging.Formatter):
    """`12:03:11.004 http.request method=POST ...`; what could move the cursor is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).astimezone()
        fields = [
            f"{click.style(name, dim=True)}={_plain(str(value))}"
            for name, value in vars(record).items()
            if name not in RESERVED_ATTRS
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
