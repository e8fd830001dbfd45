"""Log lines for programs and for people, without secrets."""

import asyncio
import gc
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.telemetry import logs
from gateway.telemetry.spans import Span, Trace
from tests.support.gateways import Relay
from tests.support.observed import Lines
from tests.support.target import Target

log = logging.getLogger("relay.test")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Configured:
    """Logging to a stream during a test."""

    def __init__(self) -> None:
        self._stream = io.StringIO()

    def begin(self, stream: io.StringIO, *, lines: bool = True) -> None:
        self._stream = stream
        logs.configure(lines=lines, stream=stream)

    def text(self) -> str:
        """The lines, once all are written."""
        logging.getLogger().handlers[0].close()
        return self._stream.getvalue()


@pytest.fixture
def configured() -> Iterator[Configured]:
    root, relay = logging.getLogger(), logging.getLogger("relay")
    before = root.handlers[:], root.level, relay.level
    yield Configured()
    root.handlers[:], level, relay_level = before
    root.setLevel(level)
    relay.setLevel(relay_level)


async def test_each_request_and_each_run_has_a_line(
    relay: Relay, target: Target, lines: Lines
) -> None:
    """With exactly these fields. A replay has no line of a run."""
    made = await relay.preview(target.url)
    ran = await relay.execute(made.json()["preview_id"], "k-1")
    again = await relay.execute("gone", "k-1")
    ids = {"run_id": ran.json()["run_id"], "preview_id": made.json()["preview_id"]}

    common = {"timestamp", "level", "logger", "event", "request_id", "trace_id", "span_id"}
    requests = [
        {name: value for name, value in line.items() if name not in common}
        for line in lines.of("http.request")
    ]
    for line in requests:
        assert 0 < line.pop("duration_ms") < 10_000
    asked = {"action": "webhook.save", "workspace": "default", "principal": "anonymous"}
    executed = {"method": "POST", "endpoint": "/actions/execute", "status": 200, **ids, **asked}
    assert requests == [
        {
            "method": "POST",
            "endpoint": "/actions/preview",
            "status": 200,
            "preview_id": ids["preview_id"],
            **asked,
        },
        {**executed, "outcome": "success"},
        {**executed, "outcome": "success", "replayed": True},
    ]
    [run] = lines.of("run.ended")
    assert set(run) == {*common, *ids, "action", "outcome", "duration_ms"}
    assert run["request_id"] == ran.headers["X-Request-ID"] != again.headers["X-Request-ID"]


class Failing(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("the disk is full")


async def test_a_failing_log_loses_no_run(relay: Relay, target: Target) -> None:
    """The run is stored before it is logged, so a retry gets its response."""
    preview_id = await relay.preview_id(target.url)
    log, failing = logging.getLogger("relay.run"), Failing()
    log.setLevel(logging.INFO)
    log.addHandler(failing)
    answer = await relay.execute(preview_id, "k-1")
    log.removeHandler(failing)
    log.setLevel(logging.NOTSET)

    assert answer.status_code == 500
    again = await relay.execute(preview_id, "k-1")
    assert (again.json()["status"], len(target.deliveries)) == ("success", 1)
    assert again.headers["Idempotent-Replayed"] == "true"


def test_lines_for_programs_are_json(configured: Configured) -> None:
    """One object a line, whatever its values hold; the ids are those of the span."""
    configured.begin(io.StringIO())
    with Span(Trace("r-1", trace_id=5), "x") as span:
        logs.log_event(log, "a.b", {"text": 'x"}\n{"event": "forged\u2028\x1b[2J', "n": 1})
    line, nothing = configured.text().split("\n")
    assert nothing == ""
    said = json.loads(line)
    assert said.pop("timestamp").endswith("Z")
    assert said == {
        "level": "INFO",
        "event": "a.b",
        "logger": "relay.test",
        "request_id": "r-1",
        "trace_id": f"{5:032x}",
        "span_id": f"{span.id:016x}",
        "text": 'x"}\n{"event": "forged\u2028\x1b[2J',
        "n": 1,
    }
    assert not {"\x1b", "\n"} & set(line)


def test_lines_on_a_terminal_have_colours(configured: Configured) -> None:
    """Event and fields stand on one line; characters that move the cursor are escaped."""
    configured.begin(Terminal())
    logs.log_event(log, "a.b", {"text": "x\ny\x1b[2J\u202e", "n": 1})
    text = configured.text()
    assert text.count("\n") == 1
    assert "\x1b[32ma.b\x1b[0m" in text
    assert "=1" in text
    assert "\x1b[2J" not in text
    assert "\u202e" not in text
    assert r"x\ny" in text


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_messages_of_exceptions_are_not_logged(configured: Configured, stream: Any) -> None:
    """Types and frames are, also those of the causes."""
    configured.begin(stream())
    try:
        try:
            raise KeyError("hunter2")
        except KeyError as error:
            raise RuntimeError("hunter2") from error
    except RuntimeError:
        log.exception("it.failed")
    text = configured.text()
    assert "hunter2" not in text
    assert "RuntimeError < " in text
    assert "KeyError < " in text
    assert "test_logs.py:" in text


async def test_an_unawaited_task_logs_no_secret(configured: Configured) -> None:
    """asyncio would log its exception."""
    configured.begin(io.StringIO())

    async def fails() -> None:
        raise RuntimeError("hunter2")

    task = asyncio.create_task(fails())
    await asyncio.wait({task})
    del task
    gc.collect()
    text = configured.text()
    said = [json.loads(line) for line in text.splitlines()]
    [line] = [line for line in said if line["logger"] == "asyncio"]
    assert line["event"] == "Task exception was never retrieved"
    assert "RuntimeError" in line["exc_info"]
    assert "hunter2" not in text


@pytest.mark.parametrize(("lines", "events"), [(True, ["a.b", "c.d"]), (False, ["c.d"])])
def test_without_telemetry_only_warnings_are_logged(
    configured: Configured, lines: bool, events: list[str]
) -> None:
    """Canonical lines are not."""
    configured.begin(io.StringIO(), lines=lines)
    logs.log_event(log, "a.b", {})
    log.warning("c.d")
    logging.getLogger("somebody.else").info("chatter")
    assert [json.loads(line)["event"] for line in configured.text().splitlines()] == events


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("opentelemetry.util.re", "Header format invalid: %s"),
        ("opentelemetry.exporter", "Failed to export %s batch"),
        ("urllib3.connectionpool", "Retrying after %s"),
    ],
)
def test_arguments_of_libraries_messages_are_not_logged(
    configured: Configured, name: str, template: str
) -> None:
    """They may be headers, URLs and values from a caller."""
    configured.begin(io.StringIO())
    logging.getLogger(name).warning(template, "hunter2")
    [line] = [json.loads(line) for line in configured.text().splitlines()]
    assert (line["event"], line["logger"]) == (template, name)
