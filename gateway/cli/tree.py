"""Print what was found of a trace: a tree of its spans with their times and its link, or JSON.

Names and values come from whoever wrote spans: nothing in them is markup or moves the cursor.
"""

import json
from collections.abc import Iterator

import click
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from gateway.cli.tempo import Field, StoredSpan, said
from gateway.cli.trace import Lookup, Trace
from gateway.timestamps import timestamp

TELLING = ("http.response.status_code", "server.address", "relay.outcome", "relay.replayed")


def show(found: Lookup, *, as_json: bool) -> None:
    """The result on stdout; what there is to say of it on stderr."""
    if as_json:
        click.echo(json.dumps(_document(found), indent=2))
    else:
        _print(found)
    if found.note:
        click.echo(found.note, err=True)
    if found.problem:
        click.echo(f"Error: {found.problem}", err=True)


def _print(found: Lookup) -> None:
    # A line a span, however long: a terminal breaks it, and grep finds it.
    console = Console(width=100_000)
    links = dict.fromkeys([*(trace.link for trace in found.traces), found.link])
    for trace in found.traces:
        console.print(_tree(trace))
        if trace.link:
            click.echo(trace.link)
            links.pop(trace.link, None)
    for link in filter(None, links):
        click.echo(link)


def _tree(trace: Trace) -> Tree:
    start, milliseconds = _time(trace)
    heading = f"trace {trace.trace_id}  {timestamp(start // 1_000_000)}  {milliseconds:.1f} ms"
    tree = Tree(Text(heading))
    nodes = {"": tree}
    for span, parent in _ordered(trace.spans):
        node = nodes[parent].add(
            _label(span, start, orphan=bool(span.parent_span_id and not parent))
        )
        nodes[span.span_id] = node
    return tree


def _ordered(spans: list[StoredSpan]) -> Iterator[tuple[StoredSpan, str]]:
    """Each span after its parent, with the id of that; "" where it is not in the trace.

    Spans that are each other's parents have none above them: the first one counts as a root.
    """
    by_id = {span.span_id: span for span in spans}
    children: dict[str, list[StoredSpan]] = {}
    for span in spans:
        children.setdefault(span.parent_span_id, []).append(span)
    roots = [span for span in spans if span.parent_span_id not in by_id]
    left = dict(by_id)
    for root in [*roots, *spans]:
        waiting = [(root, "")]
        while waiting:
            span, parent = waiting.pop()
            if left.pop(span.span_id, None):
                yield span, parent
                waiting += [(child, span.span_id) for child in children.get(span.span_id, [])[::-1]]


def _label(span: StoredSpan, start: int, *, orphan: bool) -> Text:
    offset, took = (span.started_ns - start) / 1e6, (span.ended_ns - span.started_ns) / 1e6
    text = Text.assemble((said(span.name), "bold"), f"  +{offset:.1f} ms  {took:.1f} ms")
    if span.failed:
        text.append(f"  FAILED {_plain(span.attributes.get('error.type', ''))}".rstrip(), "red")
    for name in TELLING:
        if name in span.attributes:
            text.append(f"  {name}={_plain(span.attributes[name])}", "dim")
    for trace_id in span.links:
        text.append(f"  links to trace {trace_id}", "dim")
    if orphan:
        text.append("  (its parent is not in the trace)", "yellow")
    return text


def _plain(value: Field) -> str:
    return said(json.dumps(value) if isinstance(value, bool) else str(value))


def _time(trace: Trace) -> tuple[int, float]:
    """The start in nanoseconds since 1970, and how many milliseconds there are to the last end."""
    start = trace.spans[0].started_ns
    return start, (max(span.ended_ns for span in trace.spans) - start) / 1e6


def _document(found: Lookup) -> dict[str, object]:
    traces = [
        {
            "trace_id": trace.trace_id,
            "link": trace.link,
            "started_at": timestamp(_time(trace)[0] // 1_000_000),
            "duration_ms": _time(trace)[1],
            "spans": [_row(span, trace.spans[0].started_ns) for span in trace.spans],
        }
        for trace in found.traces
    ]
    return {
        "id": found.id,
        "link": found.link,
        "traces": traces,
        "note": found.note,
        "problem": found.problem,
    }


def _row(span: StoredSpan, start: int) -> dict[str, object]:
    return {
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id or None,
        "name": span.name,
        "offset_ms": (span.started_ns - start) / 1e6,
        "duration_ms": (span.ended_ns - span.started_ns) / 1e6,
        "failed": span.failed,
        "attributes": span.attributes,
        "links": span.links,
    }
