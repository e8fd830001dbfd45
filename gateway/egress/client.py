"""Send an effect, signed, at most once, and return its outcome.

Requests leave Relay only here, and only after `Reserved`. What fails before the connector returns a
connection was not sent; what fails afterwards is unknown.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp
from opentelemetry.trace import SpanKind
from yarl import URL

from gateway.effects import Effect
from gateway.egress.additions import added_when_sent
from gateway.egress.addresses import literal
from gateway.egress.breaker import Breaker
from gateway.egress.connector import Attempt, GuardedConnector, GuardedResolver
from gateway.egress.failures import failure, forbidden
from gateway.egress.guard import Guard, TargetRefusal
from gateway.egress.tracing import describe, end
from gateway.outcomes import Answered, NotSent, Outcome, TargetRefused
from gateway.signatures import SecretsSealed, sign
from gateway.telemetry.spans import current, propagated, span

# Bytes that are read, so that a usual response ends and its connection is kept.
RESPONSE_READ_MAX = 64 * 1024
# Bytes of the body that the run stores.
RESPONSE_KEPT_MAX = 16 * 1024
# Bytes of one line or header of the response. A longer one counts as not HTTP.
RESPONSE_HEADER_MAX = 64 * 1024
# Seconds for which a preview waits for a name. A send has its own deadline.
INSPECT_PATIENCE = 3.0

# Raises SecretsSealed: Relay would rather not send a request than send it unsigned.
SecretsOf = Callable[[str], Sequence[bytes]]

OWN_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class Egress:
    def __init__(self, session: aiohttp.ClientSession, guard: Guard, secrets_of: SecretsOf) -> None:
        """`secrets_of`: the signing secrets of a workspace, newest first."""
        self._session = session
        self._guard = guard
        self._secrets_of = secrets_of
        self._resolver = GuardedResolver(guard)
        self.breaker = Breaker()

    async def inspect(self, effect: Effect, workspace: str) -> TargetRefused | tuple[str, ...]:
        """Why the target is refused, or warnings. No packet goes to the target."""
        with span("guard") as guard:
            try:
                url = self._guard.check_url(effect.url)
                warnings = await self._resolution_warnings(url)
            except TargetRefusal as refusal:
                return forbidden(refusal, guard)
        if url.scheme == "http":
            warnings.append("The request is not encrypted: the URL is http.")
        return (*warnings, *self._signing_warnings(workspace))

    def added_when_sent(self, effect: Effect, workspace: str) -> tuple[str, ...]:
        """The names of the headers that `send` adds."""
        try:
            signed = bool(self._secrets_of(workspace))
        except SecretsSealed:
            signed = True  # or it is not sent
        return added_when_sent(effect, signed=signed)

    def _signing_warnings(self, workspace: str) -> tuple[str, ...]:
        try:
            if self._secrets_of(workspace):
                return ()
        except SecretsSealed:
            return ("The request cannot be signed at the moment, so it would not be sent.",)
        return ("The request will not be signed: there is no signing secret.",)

    async def _resolution_warnings(self, url: URL) -> list[str]:
        assert url.raw_host  # the guard refuses any other URL
        if literal(url.raw_host):
            return []
        try:
            async with asyncio.timeout(INSPECT_PATIENCE):
                await self._resolver.resolve(url.raw_host, url.port or 0)
        except TargetRefusal:
            raise
        except OSError:
            return [f"The name {url.raw_host} does not resolve at the moment."]
        return []

    async def send(
        self, effect: Effect, *, workspace: str, run_id: str, deadline: float
    ) -> Outcome:
        """Send the effect, signed, at most once, and return its outcome.

        `deadline`: on the monotonic clock, for all from resolving the name to the last byte of the
        response.
        """
        with span("guard") as guard:
            try:
                url = self._guard.check_url(effect.url)
            except TargetRefusal as refusal:
                return forbidden(refusal, guard)
        with span(effect.method, kind=SpanKind.CLIENT) as client:
            describe(client, effect.method, url, run_id)
            try:
                signature = self._signature(effect, workspace, run_id)
            except SecretsSealed:
                client.fail("secrets_sealed")
                return NotSent("The signing secrets of this workspace cannot be read here.")
            outcome = await self._exchange(effect, url, signature, deadline)
            self.breaker.record(workspace, effect.target, outcome)
            return outcome

    def _signature(self, effect: Effect, workspace: str, run_id: str) -> dict[str, str]:
        return sign(
            self._secrets_of(workspace),
            message_id=run_id,
            timestamp=int(time.time()),
            body=effect.body or b"",
        )

    async def _exchange(
        self, effect: Effect, url: URL, signature: Mapping[str, str], deadline: float
    ) -> Outcome:
        attempt = Attempt.start(deadline)
        response: aiohttp.ClientResponse | None = None
        body = bytearray()
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                response = await self._request(effect, url, signature)
                await _read(response, body)
        except (aiohttp.ClientError, OSError) as error:
            current().fail(type(error).__name__)
            if response is None:
                return failure(error, written=attempt.written)
            # The head decides the outcome. The body is what had arrived.
            response.close()
        end(current(), response.status)
        return Answered(
            status_code=response.status,
            response=bytes(body[:RESPONSE_KEPT_MAX]).decode("utf-8", "replace"),
            truncated=len(body) > RESPONSE_KEPT_MAX or not response.content.at_eof(),
        )

    async def _request(
        self, effect: Effect, url: URL, signature: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        return await self._session.request(
            effect.method,
            url,
            headers={**effect.headers, **signature, **propagated()},
            data=effect.body,
            allow_redirects=False,
        )


@asynccontextmanager
async def open_egress(
    guard: Guard, secrets_of: SecretsOf, *, tls: ssl.SSLContext | bool = True
) -> AsyncIterator[Egress]:
    """`tls`: the authorities to trust, by default the system's."""
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
        yield Egress(session, guard, secrets_of)


async def _read(response: aiohttp.ClientResponse, body: bytearray) -> None:
    """Read up to RESPONSE_READ_MAX; close a connection that holds more."""
    while len(body) < RESPONSE_READ_MAX and not response.content.at_eof():
        body += await response.content.readany()
    if not response.content.at_eof():
        response.close()
