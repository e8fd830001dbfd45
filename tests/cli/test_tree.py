"""What is printed of a trace: a line a span below its parent, and nothing that harms."""

import json
from typing import Any

import pytest

from gateway.cli.tempo import Field, StoredSpan
from gateway.cli.trace import Lookup, Trace
from gateway.cli.tree import show
from tests.support.tempo import MOMENT_NS

TRACE_ID = f"{1:032x}"
LINK = "https://grafana.example/" + "x" * 500


def stored(
    name: str,
    span_id: str,
    parent: str = "",
    *,
    at: float = 0,
    took: float = 1,
    failed: bool = False,
    links: tuple[str, ...] = (),
    **attributes: Field,
) -> StoredSpan:
    """`at`, `took`: milliseconds. A double underscore in an attribute's name stands for a dot."""
    start = MOMENT_NS + int(at * 1e6)
    return StoredSpan(
        span_id=span_id,
        parent_span_id=parent,
        name=name,
        started_ns=start,
        ended_ns=start + int(took * 1e6),
        failed=failed,
        attributes={key.replace("__", "."): value for key, value in attributes.items()},
        links=list(links),
    )


def lookup(*spans: StoredSpan, **rest: Any) -> Lookup:
    traces = [Trace(trace_id=TRACE_ID, link=LINK, spans=list(spans))]
    return Lookup(**{"id": "a", "link": LINK, "traces": traces, **rest})


def printed(capsys: pytest.CaptureFixture[str], found: Lookup) -> list[str]:
    show(found, as_json=False)
    return capsys.readouterr().out.splitlines()


def test_children_are_below_their_parents(capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of their starts, with offset and duration, then the link, all unbroken."""
    lines = printed(
        capsys,
        lookup(
            stored("server", "a", took=12.34),
            stored("reserve", "b", "a", at=0.25),
            stored("inner", "d", "b", at=0.5, took=0.04),
            stored("settle", "c", "a", at=10),
        ),
    )

    assert lines == [
        f"trace {TRACE_ID}  2026-11-23T05:00:00.000Z  12.3 ms",
        "└── server  +0.0 ms  12.3 ms",
        "    ├── reserve  +0.2 ms  1.0 ms",
        "    │   └── inner  +0.5 ms  0.0 ms",
        "    └── settle  +10.0 ms  1.0 ms",
        LINK,
    ]


def test_telling_attributes_are_shown_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    """A failed span says so, with its error.type; a replay says which trace it replays."""
    _, line, other, _ = printed(
        capsys,
        lookup(
            stored(
                "POST",
                "a",
                failed=True,
                links=(f"{7:032x}",),
                error__type="504",
                url__full="https://example.com",
                relay__replayed=True,
                relay__outcome="failed",
                server__address="example.com",
                http__response__status_code=504,
            ),
            stored("guard", "b", at=1, failed=True),
        ),
    )

    assert line == (
        "├── POST  +0.0 ms  1.0 ms  FAILED 504  http.response.status_code=504  "
        "server.address=example.com  relay.outcome=failed  relay.replayed=true  "
        f"links to trace {7:032x}"
    )
    assert other == "└── guard  +1.0 ms  1.0 ms  FAILED"


def test_a_span_without_its_parent_is_at_the_root(capsys: pytest.CaptureFixture[str]) -> None:
    """It says so: the parent is a caller's, or not exported yet. Its own children stay below."""
    lines = printed(
        capsys,
        lookup(stored("orphan", "b", "gone"), stored("child", "c", "b", at=1), stored("root", "d")),
    )

    assert lines[1:-1] == [
        "├── orphan  +0.0 ms  1.0 ms  (its parent is not in the trace)",
        "│   └── child  +1.0 ms  1.0 ms",
        "└── root  +0.0 ms  1.0 ms",
    ]


@pytest.mark.parametrize(
    ("spans", "names"),
    [
        ([stored("own", "a", "a")], ["own"]),
        ([stored("one", "a", "b"), stored("two", "b", "a")], ["one", "two"]),
        ([stored("root", "r"), stored("one", "a", "b"), stored("two", "b", "a")], None),
        ([stored("empty", "", "")], ["empty"]),
    ],
)
def test_spans_that_go_in_circles_are_all_shown(
    capsys: pytest.CaptureFixture[str], spans: list[StoredSpan], names: list[str] | None
) -> None:
    """Each once; whoever writes to Tempo decides about parents."""
    lines = printed(capsys, lookup(*spans))[1:-1]

    shown = [line.split("── ")[1].split("  ")[0] for line in lines]
    assert shown == (names or ["root", "one", "two"])


def test_a_deep_trace_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A thousand spans below each other, deeper than Python's calls go."""
    chain = [stored("s", str(n), str(n - 1) if n else "") for n in range(1100)]
    lines = printed(capsys, lookup(*chain))
    assert len(lines) == 1102
    assert lines[-2].strip().startswith("└── s  +0.0 ms")


HOSTILE = [
    ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
    ("a\nb\r\tc\x7f", r"a\nb\r\tc\x7f"),
    ("\x9b31m", r"\x9b31m"),
    ("\u202egnp.exe", r"\u202egnp.exe"),
    ("[red]x[/red] [link=http://e]", "[red]x[/red] [link=http://e]"),
    (":smile: é 漢", ":smile: é 漢"),
]


@pytest.mark.parametrize(("text", "shown"), HOSTILE)
def test_hostile_text_is_text(capsys: pytest.CaptureFixture[str], text: str, shown: str) -> None:
    """Names and values move no cursor, start no line and are no markup."""
    span = stored(text, "a", failed=True, error__type=text, server__address=text)
    _, line, _ = printed(capsys, lookup(span))
    assert line == f"└── {shown}  +0.0 ms  1.0 ms  FAILED {shown}  server.address={shown}"


def test_a_terminal_gets_colours_and_no_other_escapes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A negative control for the escapes above: rich does write its own."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    text = "".join(printed(capsys, lookup(stored("\x1b[2J", "a", failed=True))))
    assert "\x1b[31m" in text
    assert "\x1b[2J" not in text


def test_json_has_every_attribute_and_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """For machines, and harmless on a terminal all the same."""
    span = stored("\x9bé\u202e", "b", "a", at=0.5, took=2, url__full="http://h", n=1)
    show(lookup(stored("root", "a"), span), as_json=True)

    out = capsys.readouterr().out
    told = json.loads(out)
    assert out.isascii()
    assert (told["id"], told["link"], told["problem"]) == ("a", LINK, None)
    [trace] = told["traces"]
    assert (trace["trace_id"], trace["link"]) == (TRACE_ID, LINK)
    assert (trace["started_at"], trace["duration_ms"]) == ("2026-11-23T05:00:00.000Z", 2.5)
    assert trace["spans"][0]["parent_span_id"] is None
    assert trace["spans"][1] == {
        "span_id": "b",
        "parent_span_id": "a",
        "name": "\x9bé\u202e",
        "offset_ms": 0.5,
        "duration_ms": 2.0,
        "failed": False,
        "attributes": {"url.full": "http://h", "n": 1},
        "links": [],
    }


@pytest.mark.parametrize("as_json", [True, False])
def test_notes_and_problems_go_to_stderr(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    """What is on stdout can be piped: the link that is known, or JSON."""
    show(Lookup(id="a", link=LINK, note="Mind.", problem="It is away."), as_json=as_json)

    shown = capsys.readouterr()
    assert shown.err == "Mind.\nError: It is away.\n"
    if as_json:
        assert json.loads(shown.out)["problem"] == "It is away."
    else:
        assert shown.out == f"{LINK}\n"


def test_a_link_is_printed_once_for_each_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """And the run's own where no trace has it: what it leads to may come yet."""
    spans = [stored("root", "a")]
    traces = [Trace(trace_id=TRACE_ID, link=link, spans=spans) for link in ("L1", "L2", None)]
    links = [
        line for line in printed(capsys, Lookup(id="a", link="L3", traces=traces)) if line[0] == "L"
    ]
    assert links == ["L1", "L2", "L3"]
