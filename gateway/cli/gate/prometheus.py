"""Ask a Prometheus: the series that it answers, or one sentence that says why there are none.

Nothing that it sends is trusted to be an answer; no sentence shows the password of its URL.
"""

import asyncio
import math
from contextlib import suppress
from datetime import timedelta

import httpx2
import msgspec

from gateway.cli.options import http_url

# Prometheus itself gives up a query after two minutes; a gate that waits as long is not used.
PATIENCE = timedelta(seconds=30)

# Past it no date has a name; past the other no count is meant.
_LAST_SECOND, _HUGE = 253_402_300_800, 1e18


class Unusable(ValueError):
    """The URL is not that of a Prometheus."""


class Unanswered(Exception):
    """Prometheus gave no answer that can be judged."""


class Series(msgspec.Struct):
    """One answer has a `value`, one over time `values`: seconds since 1970, and a number each."""

    metric: dict[str, str] = {}
    value: tuple[float, str] = (0, "NaN")
    values: list[tuple[float, str]] = []

    @property
    def number(self) -> float:
        """NaN where the value is no number."""
        with suppress(ValueError):
            return float(self.value[1])
        return math.nan

    @property
    def replica(self) -> str:
        return self.metric.get("instance", "?")

    @property
    def is_usable(self) -> bool:
        """NaN is greater and less than nothing, so that it would pass every limit."""
        return bool(self.values) or abs(self.number) < _HUGE


class _Data(msgspec.Struct):
    result: list[Series]


class _Answer(msgspec.Struct):
    """`warnings`: set when a part of the storage did not answer."""

    status: str
    data: _Data | None = None
    error: str = ""
    warnings: list[str] = []


class Prometheus:
    """`patience`: for one answer, to its last byte. Raises Unusable when the URL cannot be one."""

    def __init__(self, url: str, *, patience: timedelta = PATIENCE) -> None:
        parsed = http_url(url)
        if parsed is None or parsed.query:
            raise Unusable("the URL of Prometheus is like http://prometheus:9090")
        self.shown = str(parsed.copy_with(userinfo=b"", fragment=None))
        # The environment counts (proxies, SSL_CERT_FILE): a Prometheus may be far away.
        # One deadline over all stands in `ask`: the client's own start anew with each byte.
        self._client = httpx2.AsyncClient(base_url=parsed, timeout=None)
        self._patience = patience.total_seconds()

    async def __aenter__(self) -> "Prometheus":
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def now(self) -> float:
        """Its clock, which timed the samples; ours may be another."""
        answer = await self.ask("vector(time())")
        now = answer[0].number if answer else 0.0
        if not 0 < now < _LAST_SECOND:
            raise Unanswered(f"{self.shown} does not tell its time")
        return now

    async def ask(self, query: str, *, at: float | None = None) -> list[Series]:
        """Every series whose value is a number that can be added up. Raises Unanswered."""
        asked = {"query": query} | ({} if at is None else {"time": f"{at:.3f}"})
        try:
            async with asyncio.timeout(self._patience):
                response = await self._client.post("api/v1/query", data=asked)
        except TimeoutError as error:
            raise Unanswered(f"{self.shown} did not answer in {self._patience:g} s") from error
        except httpx2.HTTPError as error:
            raise Unanswered(f"{self.shown} cannot be reached: {_printable(str(error))}") from error
        return [series for series in self._read(response) if series.is_usable]

    def _read(self, response: httpx2.Response) -> list[Series]:
        if response.is_redirect:
            raise Unanswered(f"{self.shown} redirects; give the address that it leads to")
        if response.status_code in (401, 403):
            raise Unanswered(f"{self.shown} wants a user: http://user:password@host")
        try:
            answer = msgspec.json.decode(response.content, type=_Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            status = response.status_code
            raise Unanswered(f"{self.shown} is no Prometheus: its answer ({status})") from error
        if answer.status != "success" or answer.data is None:
            raise Unanswered(f"{self.shown} answers: {_printable(answer.error)}")
        if answer.warnings:
            raise Unanswered(f"{self.shown} answers in part: {_printable(answer.warnings[0])}")
        return answer.data.result


def _printable(text: str) -> str:
    """A message of another server, on one line of a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:300] or "nothing"
