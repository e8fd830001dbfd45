"""`relay trace`: the link to the trace of a run and, where TEMPO_URL is set, its spans as a tree.

Names and values come from other systems: none of them is markup or moves the cursor.
"""

import asyncio
import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import click
import httpx2
import msgspec
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from msgspec import Struct
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from gateway.cli.options import http_url
from gateway.config.settings import Settings
from gateway.telemetry.links import TraceLinks

PATIENCE = timedelta(seconds=10)
TRACE_ID = r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"
PLAIN = ("string_value", "bool_value", "int_value", "double_value")
SHOWN = ("http.response.status_code", "server.address", "relay.outcome", "relay.replayed")


class _Run(Struct):
    trace_link: str | None = None


def show(asked: str, *, gateway: str, settings: Settings, as_json: bool) -> None:
    """Print the link and the spans of a run, or of a trace. Raises click.ClickException."""
    if re.fullmatch(TRACE_ID, asked):
        link, trace_ids = TraceLinks(settings.trace_link).to(asked, 0, ""), [asked]
    else:
        link = asyncio.run(_link_of_run(asked, gateway, settings))
        # A template may hold a request id or a uid of the same form: each is tried.
        trace_ids = re.findall(TRACE_ID, unquote(link))
    spans = asyncio.run(_spans(settings.tempo_url, trace_ids)) if settings.tempo_url else []
    if as_json:
        click.echo(json.dumps({"id": asked, "link": link, "spans": list(map(_row, spans))}))
    else:
        if spans:
            Console(width=100_000).print(_tree(spans))
        click.echo(link or "For a link, set GRAFANA_URL or TRACE_LINK_TEMPLATE.")
    if not settings.tempo_url:
        click.echo("For the spans, set TEMPO_URL.", err=True)


async def _link_of_run(run_id: str, gateway: str, settings: Settings) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", run_id):
        raise click.UsageError("give the id of a run, or a trace id of 32 hexadecimal digits")
    response = await _get(gateway, f"runs/{run_id}", "the gateway", settings.bearer)
    if response.status_code != 200:
        told = f"{response.status_code}: {_text(response.text)}"
        raise click.ClickException(f"the gateway answers {told}")
    try:
        link = msgspec.json.decode(response.content, type=_Run).trace_link or ""
    except msgspec.DecodeError as error:
        raise click.ClickException("this is not a gateway of Relay") from error
    # Printed, so only a plain URL: something else than a gateway may answer there.
    if not re.fullmatch(r"https?://[\x21-\x7e]+", link):
        raise click.ClickException(f"the run {run_id} has no link to a trace")
    return link


async def _spans(tempo: str, trace_ids: list[str]) -> list[Span]:
    """The spans of the first trace that Tempo has, in the order of their starts."""
    for trace_id in trace_ids:
        headers = {"Accept": "application/protobuf"}
        response = await _get(tempo, f"api/traces/{trace_id}", "Tempo", headers)
        if response.status_code == 404:
            continue
        if response.status_code != 200:
            raise click.ClickException(f"Tempo answers {response.status_code}")
        try:
            data = TracesData.FromString(response.content)
        except DecodeError as error:
            raise click.ClickException("Tempo's answer is not a trace") from error
        found = {
            span.span_id: span
            for resource in data.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }
        return sorted(found.values(), key=lambda span: span.start_time_unix_nano)
    raise click.ClickException("Tempo does not have this trace (yet)")


async def _get(base: str, path: str, name: str, headers: dict[str, str]) -> httpx2.Response:
    url = http_url(base)
    if url is None:
        raise click.UsageError(f"the URL of {name} must be like http://host:port")
    try:
        async with (
            asyncio.timeout(PATIENCE.total_seconds()),
            httpx2.AsyncClient(base_url=url, timeout=None, headers=headers) as client,
        ):
            return await client.get(path)
    except TimeoutError as error:
        raise click.ClickException(f"{name} did not answer in {PATIENCE.seconds} s") from error
    except httpx2.HTTPError as error:
        raise click.ClickException(f"{name} cannot be reached: {_text(str(error))}") from error


def _tree(spans: list[Span]) -> Tree:
    start = spans[0].start_time_unix_nano
    tree = Tree(Text(f"trace {spans[0].trace_id.hex()}"))
    nodes: dict[bytes, Tree] = {}
    waiting = spans
    while waiting:
        known = [span for span in waiting if span.parent_span_id in nodes]
        # Without a known parent: a root, or a span whose parent is not in the trace.
        for span in known or waiting[:1]:
            nodes[span.span_id] = nodes.get(span.parent_span_id, tree).add(_label(span, start))
        waiting = [span for span in waiting if span.span_id not in nodes]
    return tree


def _label(span: Span, start: int) -> Text:
    row, offset = _row(span), (span.start_time_unix_nano - start) / 1e6
    times = f"  +{offset:.1f} ms  {row['duration_ms']:.1f} ms"
    label = Text.assemble((_text(span.name), "bold"), times)
    if row["failed"]:
        label.append("  FAILED", "red")
    for key in SHOWN:
        if key in row["attributes"]:
            label.append(f"  {key}={_text(str(row['attributes'][key]))}", "dim")
    return label


def _row(span: Span) -> dict[str, Any]:
    values = ((pair.key, pair.value, pair.value.WhichOneof("value")) for pair in span.attributes)
    return {
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex() or None,
        "name": span.name,
        "duration_ms": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6,
        "failed": span.status.code == Status.STATUS_CODE_ERROR,
        "attributes": {key: getattr(value, kind) for key, value, kind in values if kind in PLAIN},
    }


def _text(text: str) -> str:
    """One line of a terminal, with nothing that moves its cursor."""
    return "".join(letter if letter.isprintable() else "·" for letter in text.strip())[:300]
