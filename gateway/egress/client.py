"""Send an effect, signed, at most once, and return its outcome.

Requests leave Relay only here, and only after `Reserved`. What fails before `write` returns was not
sent; what fails afterwards is unknown.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from opentelemetry.trace import SpanKind
from yarl import URL

from gateway.effects import Effect
from gateway.egress.additions import added_when_sent
from gateway.egress.addresses import literal
from gateway.egress.answer import NotHttp
from gateway.egress.breaker import Breaker
from gateway.egress.connections import Connections
from gateway.egress.exchange import Connection, NoAnswer, request_bytes
from gateway.egress.failures import forbidden, no_response, not_sent
from gateway.egress.guard import Guard, TargetRefusal
from gateway.egress.tracing import describe, end
from gateway.outcomes import Answered, NotSent, Outcome, TargetRefused
from gateway.signatures import SecretsSealed, sign
from gateway.telemetry.spans import current, propagated, span

# Seconds for which a preview waits for a name. A send has its own deadline.
INSPECT_PATIENCE = 3.0

# Raises SecretsSealed: Relay would rather not send a request than send it unsigned.
SecretsOf = Callable[[str], Sequence[bytes]]


class Egress:
    def __init__(self, connections: Connections, guard: Guard, secrets_of: SecretsOf) -> None:
        """`secrets_of`: the signing secrets of a workspace, newest first."""
        self._connections = connections
        self._guard = guard
        self._secrets_of = secrets_of
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
                await self._connections.connector.resolve(url.raw_host, url.port or 0)
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
        request = request_bytes(effect, url, {**signature, **propagated()})
        try:
            connection = await self._connections.take(url, deadline)
        except OSError as error:
            return not_sent(error)
        try:
            return await self._ask(connection, request, deadline)
        finally:
            self._connections.give_back(url, connection)

    async def _ask(self, connection: Connection, request: bytes, deadline: float) -> Outcome:
        try:
            connection.write(request, deadline)
        except OSError as error:
            return not_sent(error)
        # From here on bytes may be out: whatever fails, nothing is sent again.
        try:
            answer = await connection.answered(deadline)
        except (NotHttp, NoAnswer, TimeoutError) as error:
            return no_response(error)
        end(current(), answer.status)
        return Answered(status_code=answer.status, response=answer.text, truncated=answer.truncated)


@asynccontextmanager
async def open_egress(
    guard: Guard, secrets_of: SecretsOf, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Egress]:
    """`tls`: the authorities to trust, by default the system's."""
    connections = Connections(guard, tls or ssl.create_default_context())
    try:
        yield Egress(connections, guard, secrets_of)
    finally:
        await connections.close()
