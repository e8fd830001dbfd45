"""Send an effect, signed, at most once, and return its outcome.

Requests leave Relay only here: an effect after `Reserved`, a notice of an approval to a channel of
its workspace, which may be sent again, a GET of a document that this gateway itself needs, and what
it asks a provider of connections. What fails before `write` returns was not sent; what fails
afterwards is unknown.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType

from opentelemetry.trace import SpanKind
from yarl import URL

from gateway.effects import Effect
from gateway.egress.additions import added_when_sent
from gateway.egress.answer import KEPT_MAX, READ_MAX, NotHttp
from gateway.egress.breaker import Breaker
from gateway.egress.connections import Connections
from gateway.egress.exchange import Connection, NoAnswer, request_bytes
from gateway.egress.failures import forbidden, no_response, not_sent
from gateway.egress.guard import Guard, TargetRefusal
from gateway.egress.judging import judged
from gateway.egress.tracing import describe, end
from gateway.outcomes import Answered, NotSent, Outcome, TargetRefused
from gateway.problems import TargetForbidden
from gateway.signatures import SecretsSealed, sign
from gateway.telemetry.spans import current, propagated, span

# Seconds for which a preview waits for a name. A send has its own deadline.
INSPECT_PATIENCE = 3.0

# Raises SecretsSealed: Relay would rather not send a request than send it unsigned.
SecretsOf = Callable[[str], Sequence[bytes]]


# An effect without a credential.
NONE: Mapping[str, str] = MappingProxyType({})


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
        return (*warnings, *(() if effect.credential else self._signing_warnings(workspace)))

    def known(self, effect: Effect) -> bool:
        """Whether `inspect` accepts the target without resolving its name."""
        try:
            url = self._guard.check_url(effect.url)
        except TargetRefusal:
            return False
        return self._connections.connector.known(url)

    async def check_target(self, url: str) -> None:
        """Raises TargetForbidden. A name that does not resolve at the moment is no reason."""
        checked = self.check_url(url)
        try:
            await self._resolution_warnings(checked)
        except TargetRefusal as refusal:
            raise TargetForbidden(str(refusal)) from refusal

    def check_url(self, url: str) -> URL:
        """The URL, of which no name is resolved. Raises TargetForbidden."""
        try:
            return self._guard.check_url(url)
        except TargetRefusal as refusal:
            raise TargetForbidden(str(refusal)) from refusal

    def added_when_sent(self, effect: Effect, workspace: str) -> tuple[str, ...]:
        """The names of the headers that `send` adds."""
        return added_when_sent(effect, signed=self.signs(workspace))

    def signs(self, workspace: str) -> bool:
        """Whether requests of this workspace are signed."""
        try:
            return bool(self._secrets_of(workspace))
        except SecretsSealed:
            return True  # or it is not sent

    def _signing_warnings(self, workspace: str) -> tuple[str, ...]:
        try:
            if self._secrets_of(workspace):
                return ()
        except SecretsSealed:
            return ("The request cannot be signed at the moment, so it would not be sent.",)
        return ("The request will not be signed: there is no signing secret.",)

    async def _resolution_warnings(self, url: URL) -> list[str]:
        connector = self._connections.connector
        if connector.known(url):
            return []
        try:
            async with asyncio.timeout(INSPECT_PATIENCE):
                await connector.look_up(url)
        except TargetRefusal:
            raise
        except OSError:
            return [f"The name {url.raw_host} does not resolve at the moment."]
        return []

    async def send(
        self,
        effect: Effect,
        *,
        workspace: str,
        run_id: str,
        deadline: float,
        credential: Mapping[str, str] = NONE,
    ) -> Outcome:
        """Send the effect, signed, at most once, and return its outcome.

        `deadline`: on the monotonic clock, for all from resolving the name to the last byte of the
        response. `credential`: the headers of the effect's credential; with them the request is
        neither signed nor traced.
        """
        with span("guard") as guard:
            try:
                url = self._guard.check_url(effect.url)
            except TargetRefusal as refusal:
                return forbidden(refusal, guard)
        with span(effect.method, kind=SpanKind.CLIENT) as client:
            describe(client, effect.method, url, run_id)
            try:
                added = credential or self._signed(effect, workspace, run_id)
            except SecretsSealed:
                client.fail("secrets_sealed")
                return NotSent("The signing secrets of this workspace cannot be read here.")
            outcome = await self._exchange(effect, url, added, deadline)
            self.breaker.record(workspace, effect.target, outcome)
            return outcome

    async def send_notice(
        self, effect: Effect, *, workspace: str, message_id: str, deadline: float
    ) -> Outcome:
        """Send a notice, signed as a run is. `message_id`: the same in every attempt. A channel
        that fails suspends no target of runs. `deadline`: as of `send`.
        """
        try:
            url = self._guard.check_url(effect.url)
            signed = self._signed(effect, workspace, message_id)
        except TargetRefusal as refusal:
            return forbidden(refusal, current())
        except SecretsSealed:
            return NotSent("The signing secrets of this workspace cannot be read here.")
        headers = {"webhook-id": message_id, **signed}
        return await self._exchange(effect, url, headers, deadline)

    async def fetch(self, url: str, *, deadline: float) -> Outcome:
        """GET a document; the outcome has up to 64 KiB of it. `deadline`: as of `send`."""
        accept = {"Accept": "application/json"}
        effect = Effect(method="GET", url=url, headers=accept, body=None, summary="")
        try:
            checked = self._guard.check_url(url)
        except TargetRefusal as refusal:
            return forbidden(refusal, current())
        return await self._exchange(effect, checked, propagated(), deadline, kept_max=READ_MAX)

    async def ask(self, effect: Effect, *, deadline: float) -> Outcome:
        """Ask a provider something of ours, such as for a token: neither signed nor traced, and no
        part of the request is recorded. The outcome has up to 64 KiB. `deadline`: as of `send`.
        """
        with span("ask_provider"):
            try:
                checked = self._guard.check_url(effect.url)
            except TargetRefusal as refusal:
                return forbidden(refusal, current())
            return await self._exchange(effect, checked, NONE, deadline, kept_max=READ_MAX)

    def _signed(self, effect: Effect, workspace: str, run_id: str) -> dict[str, str]:
        """The headers of the signature and of the trace. Raises SecretsSealed."""
        signature = sign(
            self._secrets_of(workspace),
            message_id=run_id,
            timestamp=int(time.time()),
            body=effect.body or b"",
        )
        return {**signature, **propagated()}

    async def _exchange(
        self,
        effect: Effect,
        url: URL,
        added: Mapping[str, str],
        deadline: float,
        *,
        kept_max: int = KEPT_MAX,
    ) -> Outcome:
        request = request_bytes(effect, url, added)
        try:
            connection = await self._connections.take(url, deadline)
        except OSError as error:
            return not_sent(error)
        try:
            return await self._ask(connection, request, deadline, kept_max, effect.judge)
        finally:
            self._connections.give_back(url, connection)

    async def _ask(
        self,
        connection: Connection,
        request: bytes,
        deadline: float,
        kept_max: int,
        judge: str,
    ) -> Outcome:
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
        return Answered(
            status_code=answer.status,
            response=answer.text(kept_max),
            truncated=answer.truncated(kept_max),
            judged=judged(judge, answer.body, whole=answer.whole),
        )


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
