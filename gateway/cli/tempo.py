"""Ask a Tempo for traces, or say in one sentence why there is no answer.

Nothing that it sends is trusted to be an answer; no sentence shows the password of its URL.
"""

import asyncio
import re
import time
from collections.abc import Iterable
from datetime import timedelta

import httpx2
import msgspec
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from msgspec import Struct, field
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from gateway.cli.options import http_url

# A search reads every block of a week; who waits at a terminal for longer gives up.
PATIENCE = timedelta(seconds=30)
# Tempo refuses to search longer (query_frontend.search.max_duration).
LONGEST_SEARCH = timedelta(hours=168)

Field = str | int | float | bool


class TempoError(Exception):
    """Tempo gave no answer that can be read; the message is one sentence."""


class StoredSpan(Struct, frozen=True, kw_only=True):
    """A span as Tempo holds it. `parent_span_id`: empty for a root. `links`: ids of traces."""

    span_id: str
    parent_span_id: str
    name: str
    started_ns: int
    ended_ns: int
    failed: bool
    attributes: dict[str, Field]
    links: list[str]


class _Match(Struct):
    trace_id: str = field(name="traceID")
    started_ns: str = field(name="startTimeUnixNano", default="0")


class _Matches(Struct):
    traces: list[_Match] = []


class Tempo:
    """`patience`: for one answer, to its last byte. Raises TempoError where the URL is none."""

    def __init__(self, url: str, *, patience: timedelta = PATIENCE) -> None:
        parsed = http_url(url)
        if not parsed or parsed.query:
            raise TempoError("TEMPO_URL must be like http://tempo:3200.")
        self.shown = f"Tempo at {parsed.copy_with(userinfo=b'', fragment=None)}"
        # The environment counts (proxies, SSL_CERT_FILE): a Tempo may be far away. One deadline
        # over all stands in `_get`: the client's own start anew with each byte.
        self._client = httpx2.AsyncClient(base_url=parsed, timeout=None)
        self._patience = patience.total_seconds()

    async def __aenter__(self) -> "Tempo":
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def spans(self, trace_id: str) -> list[StoredSpan]:
        """Those of a trace, in the order of their starts; none when it is not there (yet).

        `trace_id`: 32 hexadecimal digits. Raises TempoError.
        """
        response = await self._get(f"api/traces/{trace_id}", accept="application/protobuf")
        if response.status_code == 404:
            return []
        self._check(response)
        try:
            data = TracesData.FromString(response.content)
        except DecodeError as error:
            raise TempoError(f"{self.shown} sent a trace that is not protobuf.") from error
        wanted = bytes.fromhex(trace_id)
        # By id: an exporter that tries again may have delivered a span twice.
        found = {
            span.span_id: span
            for resource_spans in data.resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
            if span.trace_id == wanted
        }
        return sorted(map(_stored, found.values()), key=lambda span: span.started_ns)

    async def search(self, query: str, *, limit: int) -> list[str]:
        """The ids of traces of the last week that match, oldest first. Raises TempoError.

        `query`: TraceQL. Tempo 3 sees a trace here about 30 s after its end.
        """
        end = int(time.time())
        start = end - LONGEST_SEARCH // timedelta(seconds=1)
        response = await self._get(
            "api/search", accept="application/json", q=query, limit=limit, start=start, end=end
        )
        self._check(response)
        try:
            matches = msgspec.json.decode(response.content, type=_Matches).traces
            matches.sort(key=lambda match: int(match.started_ns))
        except (msgspec.MsgspecError, ValueError) as error:
            raise TempoError(f"{self.shown} sent no search result.") from error
        # Tempo leaves leading zeros out.
        ids = [match.trace_id.lower().zfill(32) for match in matches]
        return [trace_id for trace_id in ids if re.fullmatch("[0-9a-f]{32}", trace_id)]

    async def _get(self, path: str, *, accept: str, **params: str | int) -> httpx2.Response:
        try:
            async with asyncio.timeout(self._patience):
                return await self._client.get(path, params=params, headers={"Accept": accept})
        except TimeoutError as error:
            raise TempoError(f"{self.shown} did not answer in {self._patience:g} s.") from error
        except httpx2.HTTPError as error:
            why = said(str(error)).rstrip(".") or type(error).__name__
            raise TempoError(f"{self.shown} cannot be reached: {why}.") from error

    def _check(self, response: httpx2.Response) -> None:
        status = response.status_code
        if response.is_redirect:
            raise TempoError(f"{self.shown} redirects; TEMPO_URL must be where that leads to.")
        if status in (401, 403):
            raise TempoError(
                f"{self.shown} answered {status}; TEMPO_URL may be http://user:password@host."
            )
        if status != 200:
            why = said(response.text).rstrip(".")
            raise TempoError(f"{self.shown} answered {status}: {why}.")


def said(text: str) -> str:
    """What a stranger says, on one line of a terminal, with nothing that moves its cursor."""
    cut = text[:300].strip()
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in cut
    )


def _stored(span: Span) -> StoredSpan:
    return StoredSpan(
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        name=span.name,
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        attributes=_facts(span.attributes),
        links=[link.trace_id.hex() for link in span.links],
    )


def _facts(pairs: Iterable[KeyValue]) -> dict[str, Field]:
    """Without lists, maps and bytes: Relay writes none."""
    plain = ("string_value", "bool_value", "int_value", "double_value")
    kinds = ((pair, pair.value.WhichOneof("value")) for pair in pairs)
    return {pair.key: getattr(pair.value, kind) for pair, kind in kinds if kind in plain}
