"""As whom an effect is sent: find a connection for a preview, check it again and give out its
header before the send.

What is not as it was approved is refused before a byte goes out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from gateway.actions.action import BadParams, Connection
from gateway.config.secret import Secret
from gateway.connections.static import StaticSecrets, unavailable
from gateway.effects import Credential, Effect, origin_of
from gateway.outcomes import Answered, NotSent
from stores.sql.connections import ConnectionRow

POINTER = "/connection"
# A sentence about the connections of a workspace names no more of them.
NAMED_MAX = 10


class Tokens(Protocol):
    """Access tokens of connections by OAuth."""

    async def access_token(self, row: ConnectionRow, *, deadline: float) -> Secret | NotSent:
        """A token with enough time left. `deadline`: on the monotonic clock."""

    def drop(self, row: ConnectionRow) -> None:
        """Forget the access token: the provider has refused it."""


class CachedRows(NamedTuple):
    """`of`: the connections of a workspace, as they were read at most a few seconds ago. `used`:
    note that this one was just used.
    """

    of: Callable[[str], Sequence[ConnectionRow]]
    used: Callable[[str], None]


class Credentials:
    def __init__(
        self,
        rows: CachedRows,
        static: StaticSecrets,
        tokens: Tokens | None = None,
        hosts: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        """`hosts`: those of each provider, as `host`, `host:port` or an origin."""
        self._rows = rows
        self._static = static
        self._tokens = tokens
        self._origins = {
            provider: frozenset(_origin(host) for host in theirs)
            for provider, theirs in (hosts or {}).items()
        }

    def find(self, workspace: str, provider: str | None, name: str | None) -> Connection:
        """The connection with this id or label, or else the only active one of the provider.
        `provider`: None for any. Raises BadParams.
        """
        rows = self._rows.of(workspace)
        candidates = [row for row in rows if provider in (None, row.provider)]
        if name is None:
            found = [row for row in candidates if row.state == "active"]
        else:
            found = [row for row in candidates if row.id == name]
            found = found or [row for row in candidates if row.label == name]
        if len(found) != 1:
            raise BadParams(POINTER, _unclear(provider, name, found, candidates))
        return connection_of(found[0])

    def refused(self, workspace: str, effect: Effect) -> NotSent | None:
        """Why the effect may not be sent with its credential."""
        checked = self._checked(workspace, effect)
        return checked if isinstance(checked, NotSent) else None

    async def headers(
        self, workspace: str, effect: Effect, *, deadline: float
    ) -> Mapping[str, str] | NotSent:
        """The headers that carry the credential of this effect. `deadline`: on the monotonic clock,
        also for a new token.
        """
        row = self._checked(workspace, effect)
        if isinstance(row, NotSent):
            return row
        value = await self._value(row, deadline)
        if isinstance(value, NotSent):
            return value
        # It may have been deleted, or connected again, while a token was on its way.
        if refused := self.refused(workspace, effect):
            return refused
        self._rows.used(row.id)
        return {row.header: value}

    def rejected(self, workspace: str, credential: Credential, answered: Answered) -> None:
        """Learn from a 401 or a 403 of the provider."""
        row = self._row(workspace, credential)
        if row and row.kind == "oauth" and self._tokens and answered.status_code == 401:
            self._tokens.drop(row)

    async def _value(self, row: ConnectionRow, deadline: float) -> str | NotSent:
        if row.kind != "oauth":
            secret = await self._static.secret(row, deadline=deadline)
            return secret if isinstance(secret, NotSent) else secret.reveal().decode()
        if self._tokens is None:
            return unavailable(f"The provider {row.provider} is not configured.")
        token = await self._tokens.access_token(row, deadline=deadline)
        return token if isinstance(token, NotSent) else f"Bearer {token.reveal().decode()}"

    def _row(self, workspace: str, credential: Credential) -> ConnectionRow | None:
        for row in self._rows.of(workspace):
            if row.id == credential.connection:
                return row
        return None

    def _checked(self, workspace: str, effect: Effect) -> ConnectionRow | NotSent:
        """The connection, if the effect may be sent with it."""
        credential = effect.credential
        row = self._row(workspace, credential) if credential else None
        if credential is None or row is None:
            return _outdated("The connection is gone.")
        if row.state == "needs_reauth":
            detail = f"The account {row.account} has to be connected again."
            return NotSent(detail, "connection_needs_reauth", tried=False)
        if (row.provider, row.subject) != (credential.provider, credential.subject):
            return _outdated("The connection is now of another account.")
        if missing := sorted({*credential.scopes} - {*row.scopes.split()}):
            return _outdated(f"The provider has not granted {', '.join(missing)}.")
        if row.header != credential.header:
            return _outdated("The credential now goes into another header.")
        if origin_of(effect.url) not in self._origins_of(row):
            return _outdated("The credential may not go to this host.")
        return row

    def _origins_of(self, row: ConnectionRow) -> frozenset[str]:
        if row.kind == "oauth":
            return self._origins.get(row.provider, frozenset())
        return frozenset(row.hosts.split())


def connection_of(row: ConnectionRow) -> Connection:
    """What an action may know of it."""
    return Connection(
        id=row.id,
        provider=row.provider,
        account=row.account,
        subject=row.subject,
        label=row.label,
        scopes=frozenset(row.scopes.split()),
        header=row.header,
    )


def _origin(host: str) -> str:
    """Raises ValueError."""
    if origin := origin_of(host if "://" in host else f"https://{host}"):
        return origin
    raise ValueError(f"{host!r} is no host")


def _outdated(detail: str) -> NotSent:
    return NotSent(detail, "connection_outdated", tried=False)


def _unclear(
    provider: str | None,
    name: str | None,
    found: Sequence[ConnectionRow],
    candidates: Sequence[ConnectionRow],
) -> str:
    """Why these are not one connection."""
    which = f"connection of {provider}" if provider else "connection"
    if not candidates:
        return f"This workspace has no {which}."
    known = ", ".join(_named(row) for row in candidates[:NAMED_MAX])
    more = " and more" if len(candidates) > NAMED_MAX else ""
    if found:
        return f"More than one {which} would do. Name one by its id: {known}{more}."
    if name is None:
        return f"Each {which} has to be connected again: {known}{more}."
    return f"This workspace has no {which} with the id or label {name!r}, but: {known}{more}."


def _named(row: ConnectionRow) -> str:
    state = "" if row.state == "active" else ", has to be connected again"
    return f"{row.id} ({row.label}, {row.account}{state})"
