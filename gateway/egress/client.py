"""Send an effect, signed, at most once; tell what became of it.

What failed before the attempt was given its connection was never sent; what
failed after is unknown (`dial.py` keeps the note).
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
from gateway.egress.connector import Attempt, GuardedConnector, GuardedResolver
from gateway.egress.failures import failure, forbidden
from gateway.egress.guard import Guard, TargetRefusal, literal
from gateway.egress.tracing import answered, describe
from gateway.outcomes import Answered, NotSent, Outcome, TargetRefused
from gateway.signatures import SecretsSealed, sign
from gateway.telemetry.spans import current, propagated, span

# Enough to read a usual answer to its end and keep the connection.
RESPONSE_READ_MAX = 64 * 1024
RESPONSE_KEPT_MAX = 16 * 1024
# A line or a header of the answer; above it the answer counts as not HTTP.
RESPONSE_HEADER_MAX = 64 * 1024
# Seconds a preview waits for a name; the send has its own deadline.
INSPECT_PATIENCE = 3.0

# Raises SecretsSealed: not to be signed is worse than not to be sent.
SecretsOf = Callable[[str], Sequence[bytes]]

OWN_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class Egress:
    def __init__(self, session: aiohttp.ClientSession, guard: Guard, secrets_of: SecretsOf) -> None:
        """`secrets_of`: what requests of a workspace are signed with, newest first."""
        self._session = session
        self._guard = guard
        self._secrets_of = secrets_of
        self._resolver = GuardedResolver(guard)

    async def inspect(self, effect: Effect, workspace: str) -> TargetRefused | tuple[str, ...]:
        """The guard's verdict, or what is worrying. No packet goes to the target."""
        with span("guard") as guard:
            try:
                url = self._guard.check_url(effect.url)
                warnings = await self._resolved(url)
            except TargetRefusal as refusal:
                return forbidden(refusal, guard)
        if url.scheme == "http":
            warnings.append("The request is not encrypted: the URL is http.")
        return (*warnings, *self._unsigned(workspace))

    def _unsigned(self, workspace: str) -> tuple[str, ...]:
        try:
            if self._secrets_of(workspace):
                return ()
        except SecretsSealed:
            return ("The request cannot be signed at the moment, so it would not be sent.",)
        return ("The request will not be signed: there is no signing secret.",)

    async def _resolved(self, url: URL) -> list[str]:
        assert url.raw_host  # the guard saw to it
        if literal(url.raw_host):
            return []
        try:
            async with asyncio.timeout(INSPECT_PATIENCE):
                await self._resolver.resolve(url.raw_host)
        except TargetRefusal:
            raise
        except OSError:
            return [f"The name {url.raw_host} does not resolve at the moment."]
        return []

    async def send(
        self, effect: Effect, *, workspace: str, run_id: str, deadline: float
    ) -> Outcome:
        """Send the effect, signed, at most once; what became of it.

        `deadline`: on the monotonic clock, for everything from the name to the
        last byte of the answer.
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
            return await self._exchange(effect, url, signature, deadline)

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
        attempt = Attempt.begin(deadline)
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
            # The head is the outcome; the body is what came of it.
            response.close()
        answered(current(), response.status)
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
        yield Egress(session, guard, secrets_of)


async def _read(response: aiohttp.ClientResponse, body: bytearray) -> None:
    """Up to the most that is read; a connection that has more to say is closed."""
    while len(body) < RESPONSE_READ_MAX and not response.content.at_eof():
        body += await response.content.readany()
    if not response.content.at_eof():
        response.close()
