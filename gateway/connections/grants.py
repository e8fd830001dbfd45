"""What a provider has granted, sealed: in the row of a connection, and its access token in Redis.

Neither can be read by a writer of the database or of Redis, nor take the place of another.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from gateway.access.sealing import Forged, Sealer, place_of_connection
from gateway.config.secret import Secret
from gateway.connections.answers import Grant
from stores.sql.connections import ConnectionRow, Sealed, SealedConnection


class Kept(Struct, frozen=True):
    """What the row keeps: a refresh token, or an access token that does not expire."""

    kind: Literal["refresh", "lasting"]
    token: str

    def __repr__(self) -> str:
        return "Kept(…)"


class AccessToken(Struct, frozen=True):
    """What Redis keeps. `version`: of the row, when it came."""

    version: int
    sealed: bytes
    sealed_with: str


_kept = msgspec.json.Decoder(Kept)
_access_token = msgspec.json.Decoder(AccessToken)


def kept_of(grant: Grant) -> Kept | None:
    """None for a grant that ends with its access token."""
    if grant.refresh_token:
        return Kept("refresh", grant.refresh_token.reveal().decode())
    if grant.life is None:
        return Kept("lasting", grant.access_token.reveal().decode())
    return None


def seal_kept(sealer: Sealer, kept: Kept, row: ConnectionRow, *, version: int) -> Sealed:
    """`version`: the one with which the row is written. Raises UnknownKey."""
    bound_to = place_of_connection(row.workspace, row.id, version)
    return Sealed(*sealer.seal(msgspec.json.encode(kept), bound_to=bound_to))


def unseal_kept(sealer: Sealer, found: SealedConnection) -> Kept:
    """Raises UnknownKey and Forged."""
    row, (sealed, sealed_with) = found
    bound_to = place_of_connection(row.workspace, row.id, row.version)
    try:
        return _kept.decode(sealer.unseal(sealed, sealed_with, bound_to=bound_to))
    except msgspec.DecodeError:
        pass
    # Raised outside of the handler: the caught error may quote it.
    raise Forged("it is no grant")


def seal_access_token(sealer: Sealer, token: Secret, row: ConnectionRow, *, version: int) -> bytes:
    """Raises UnknownKey."""
    bound_to = _place_of_access_token(row, version)
    return msgspec.json.encode(
        AccessToken(version, *sealer.seal(token.reveal(), bound_to=bound_to))
    )


def unseal_access_token(sealer: Sealer, doc: bytes, row: ConnectionRow) -> Secret:
    """Raises UnknownKey and Forged, also for a token that is older than the row."""
    try:
        found = _access_token.decode(doc)
    except msgspec.DecodeError as error:
        raise Forged("it is no access token") from error
    if found.version < row.version:
        raise Forged("it is of an older version")
    bound_to = _place_of_access_token(row, found.version)
    return Secret(sealer.unseal(found.sealed, found.sealed_with, bound_to=bound_to))


def _place_of_access_token(row: ConnectionRow, version: int) -> str:
    return f"{place_of_connection(row.workspace, row.id, version)}/access"
