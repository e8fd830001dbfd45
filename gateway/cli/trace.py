"""The trace of a request or a run: where it can be seen, and its spans as a tree.

A run that the gateway knows has the trace of the request that executed it. What only
Tempo knows may be several traces, of a request id that was used again or of a run and
its replays: all are shown, the oldest first.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from urllib.parse import quote, unquote

import click
import httpx2
import msgspec
from msgspec import Struct

from gateway.cli.options import http_url
from gateway.cli.tempo import StoredSpan, Tempo, TempoError
from gateway.config.settings import Settings
from gateway.telemetry.links import TraceLinks, grafana

# It is asked first, and may be away.
GATEWAY_PATIENCE = timedelta(seconds=5)
# Of the traces that a search finds.
SHOWN = 20


class Trace(Struct, frozen=True, kw_only=True):
    """`spans`: at least one, in the order of their starts."""

    trace_id: str
    link: str | None
    spans: list[StoredSpan]


class Lookup(Struct, frozen=True, kw_only=True):
    """What was found. `problem`: a sentence where that is not what was asked for."""

    id: str
    link: str | None = None
    traces: list[Trace] = []
    note: str | None = None
    problem: str | None = None


async def look_up(
    asked: str, *, gateway: str, settings: Settings, patience: timedelta = GATEWAY_PATIENCE
) -> Lookup:
    """`asked`: the id of a request or a run. `gateway`: the URL of one, which may be away.

    Raises click.BadParameter: an id goes into a query, where a quote would change it.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", asked):
        raise click.BadParameter("an id has 1 to 64 letters, digits, dots, underscores and hyphens")
    link = await _link_of_run(gateway, asked, patience, settings.bearer)
    if settings.tempo_url is None:
        return _unread(asked, link, settings)
    try:
        async with Tempo(settings.tempo_url) as tempo:
            traces = await _read(tempo, asked, link, TraceLinks(settings.trace_link))
    except TempoError as error:
        return Lookup(id=asked, link=link, problem=str(error))
    if not traces:
        return Lookup(id=asked, link=link, problem=NOT_FOUND.format(tempo=tempo.shown, id=asked))
    return Lookup(id=asked, link=link or traces[0].link, traces=traces, note=_note(traces))


NOT_FOUND = (
    "{tempo} has no trace of {id}. A search finds a trace about 30 s after its end, "
    "within a week, and never one that was not sampled."
)


class _Run(Struct):
    run_id: str
    trace_link: str | None = None


async def _link_of_run(
    gateway: str, run_id: str, patience: timedelta, bearer: Mapping[str, str]
) -> str | None:
    """The link of a run that the gateway knows."""
    if (url := http_url(gateway)) is None:
        return None
    try:
        async with (
            asyncio.timeout(patience.total_seconds()),
            httpx2.AsyncClient(
                base_url=url, timeout=None, trust_env=False, headers=dict(bearer)
            ) as client,
        ):
            response = await client.get(f"runs/{run_id}")
        run = msgspec.json.decode(response.content, type=_Run)
    except (TimeoutError, httpx2.HTTPError, ValueError):
        return None
    if response.status_code != 200 or run.run_id != run_id:
        return None
    # It is printed; something else than a gateway may listen there.
    return run.trace_link if re.fullmatch(r"https?://[\x21-\x7e]+", run.trace_link or "") else None


def _unread(asked: str, link: str | None, settings: Settings) -> Lookup:
    """What can be said without a Tempo."""
    if link:
        return Lookup(id=asked, link=link, note="For the spans set TEMPO_URL.")
    if not settings.grafana_url:
        problem = (
            "TEMPO_URL is not set, so that nothing can be looked up, and the gateway has no link "
            "for a run of this id. With GRAFANA_URL there would be a link that searches."
        )
        return Lookup(id=asked, problem=problem)
    link = grafana(
        settings.grafana_url, datasource=settings.tempo_datasource_uid, query=_query(asked)
    )
    note = (
        "TEMPO_URL is not set, so that nothing was looked up: this link searches, in the last "
        "6 hours. A search finds a trace about 30 s after its end."
    )
    return Lookup(id=asked, link=link, note=note)


def _query(asked: str) -> str:
    """TraceQL: the request, or those that executed or replayed the run; not who only read it."""
    # In TraceQL && binds no tighter than ||.
    executed = f'span.relay.run_id = "{asked}" && span.http.route = "/actions/execute"'
    return f'{{ span.relay.request_id = "{asked}" || ({executed}) }}'


async def _read(tempo: Tempo, asked: str, link: str | None, links: TraceLinks) -> list[Trace]:
    """The trace that the link leads to or, as that may not be there, those that are found."""
    for trace_id in _trace_ids(link):
        if spans := await tempo.spans(trace_id):
            return [Trace(trace_id=trace_id, link=link, spans=spans)]
    traces = []
    for trace_id in await tempo.search(_query(asked), limit=SHOWN):
        if spans := await tempo.spans(trace_id):
            own = _link(links, trace_id, _head(spans, asked))
            traces.append(Trace(trace_id=trace_id, link=own, spans=spans))
    return traces


def _trace_ids(link: str | None) -> Iterable[str]:
    """What may be one: a template may hold a request id or a uid of the same form."""
    # Unquoted, for %22 and the like end in what looks like more of the id.
    return re.findall(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", unquote(link or ""))


def _head(spans: list[StoredSpan], asked: str) -> StoredSpan:
    """The server span that Relay linked to: a trusted caller's own spans may be around it."""
    ours = (span for span in spans if asked in (span.attributes.get(name) for name in ID_NAMES))
    return next(ours, spans[0])


ID_NAMES = ("relay.request_id", "relay.run_id")


def _link(links: TraceLinks, trace_id: str, head: StoredSpan) -> str | None:
    request_id = quote(str(head.attributes.get("relay.request_id", "")), safe="")
    return links.to(trace_id, int(head.span_id or "0", 16), request_id)


def _note(traces: list[Trace]) -> str | None:
    if len(traces) == SHOWN:
        return f"A search gives {SHOWN} traces at most; there may be others."
    return None if traces[0].link else "For links set GRAFANA_URL or TRACE_LINK_TEMPLATE."
