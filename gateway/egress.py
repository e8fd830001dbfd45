"""Send an effect, signed, at most once; tell what became of it.

What failed before the attempt was given its connection was never sent; what
failed after is unknown (`dial.py` keeps the note).
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
from opentelemetry.trace import SpanKind
from yarl import URL

from gateway.dial import Attempt, GuardedConnector, GuardedResolver
from gateway.effects import Effect
from gateway.guard import Guard, literal
from gateway.outcomes import Answered, Forbidden, NoResponse, NotSent, Outcome
from gateway.refused import Refused
from gateway.signatures import sign
from gateway.telemetry.client import answered, describe
from gateway.telemetry.metrics import refusals
from gateway.telemetry.spans import Span, current, propagated, span
from gateway.values import Secret

# Enough to read a usual answer to its end and keep the connection.
RESPONSE_READ_MAX = 64 * 1024
RESPONSE_KEPT_MAX = 16 * 1024
# A line or a header of the answer; above it the answer counts as not HTTP.
RESPONSE_HEADER_MAX = 64 * 1024
# Seconds a preview waits for a name; the send has its own deadline.
INSPECT_PATIENCE = 3.0

OWN_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class Egress:
    def __init__(
        self, session: aiohttp.ClientSession, guard: Guard, secrets: Sequence[Secret]
    ) -> None:
        self._session = session
        self._guard = guard
        self._secrets = [secret.reveal() for secret in secrets]
        self._resolver = GuardedResolver(guard)

    async def inspect(self, effect: Effect) -> Forbidden | tuple[str, ...]:
        """The guard's verdict, or what is worrying. No packet goes to the target."""
        with span("guard") as guard:
            try:
                url = self._guard.check_url(effect.url)
                warnings = await self._resolved(url)
            except Refused as refusal:
                return _forbidden(refusal, guard)
        if url.scheme == "http":
            warnings.append("The request is not encrypted: the URL is http.")
        if not self._secrets:
            warnings.append("The request will not be signed: ACTIONS_SIGNING_SECRET is not set.")
        return tuple(warnings)

    async def _resolved(self, url: URL) -> list[str]:
        assert url.raw_host  # the guard saw to it
        if literal(url.raw_host):
            return []
        try:
            async with asyncio.timeout(INSPECT_PATIENCE):
                await self._resolver.resolve(url.raw_host)
        except Refused:
            raise
        except OSError:
            return [f"The name {url.raw_host} does not resolve at the moment."]
        return []

    async def send(self, effect: Effect, *, run_id: str, deadline: float) -> Outcome:
        """Send the effect, signed, at most once; what became of it.

        `deadline`: on the monotonic clock, for everything from the name to the
        last byte of the answer.
        """
        with span("guard") as guard:
            try:
                url = self._guard.check_url(effect.url)
            except Refused as refusal:
                return _forbidden(refusal, guard)
        with span(effect.method, kind=SpanKind.CLIENT) as client:
            describe(client, effect.method, url, run_id)
            return await self._exchange(effect, url, run_id=run_id, deadline=deadline)

    async def _exchange(self, effect: Effect, url: URL, *, run_id: str, deadline: float) -> Outcome:
        attempt = Attempt.begin(deadline)
        response: aiohttp.ClientResponse | None = None
        body = bytearray()
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                response = await self._request(effect, url, run_id)
                await _read(response, body)
        except (aiohttp.ClientError, OSError) as error:
            current().fail(type(error).__name__)
            if response is None:
                return _failure(error, written=attempt.written)
            # The head is the outcome; the body is what came of it.
            response.close()
        answered(current(), response.status)
        return Answered(
            status_code=response.status,
            response=bytes(body[:RESPONSE_KEPT_MAX]).decode("utf-8", "replace"),
            truncated=len(body) > RESPONSE_KEPT_MAX or not response.content.at_eof(),
        )

    async def _request(self, effect: Effect, url: URL, run_id: str) -> aiohttp.ClientResponse:
        signature = sign(
            self._secrets,
            message_id=run_id,
            timestamp=int(time.time()),
            body=effect.body or b"",
        )
        return await self._session.request(
            effect.method,
            url,
            headers={**effect.headers, **signature, **propagated()},
            data=effect.body,
            allow_redirects=False,
        )


@asynccontextmanager
async def open_egress(
    guard: Guard, secrets: Sequence[Secret], *, tls: ssl.SSLContext | bool = True
) -> AsyncIterator[Egress]:
    """`tls`: whom to trust; the system's authorities unless told."""
    connector = GuardedConnector(guard, tls=tls)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        skip_auto_headers=OWN_HEADERS,
        max_line_size=RESPONSE_HEADER_MAX,
        max_field_size=RESPONSE_HEADER_MAX,
        trust_env=False,
    ) as session:
        yield Egress(session, guard, secrets)


async def _read(response: aiohttp.ClientResponse, body: bytearray) -> None:
    """Up to the most that is read; a connection that has more to say is closed."""
    while len(body) < RESPONSE_READ_MAX and not response.content.at_eof():
        body += await response.content.readany()
    if not response.content.at_eof():
        response.close()


def _failure(error: Exception, *, written: bool) -> Outcome:
    if written:
        return NoResponse(_after_writing(error))
    cause = getattr(error, "os_error", error)
    if isinstance(cause, Refused):
        return _forbidden(cause, current())
    match error:
        case aiohttp.ClientConnectorDNSError():
            return NotSent("The name of the target does not resolve.")
        case aiohttp.ClientSSLError():
            return NotSent("TLS with the target failed: its certificate or its protocol.")
        case TimeoutError():
            return NotSent("The target did not accept a connection in time.")
        case _:
            return NotSent("The target refused the connection.")


def _forbidden(refusal: Refused, where: Span) -> Forbidden:
    where.fail(refusal.reason)
    if where.trace.counted:
        refusals.labels(refusal.reason).inc()
    return Forbidden(str(refusal))


def _after_writing(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "The target did not answer in time."
        case aiohttp.ClientResponseError():
            return "The target answered something that is not HTTP."
        case _:
            return "The target closed the connection without an answer."
