"""Create the signing secrets of workspaces, each shown once and stored sealed, and reseal them."""

import base64
import secrets
from datetime import timedelta
from typing import NamedTuple
from uuid import uuid4

from gateway.access.sealing import Forged, Sealer, UnknownKey, place, place_of_connection
from gateway.problems import EncryptionNotConfigured, Forbidden, InvalidRequest
from gateway.transaction import Actor, Transactions, existing
from stores.audit_entries import NOWHERE
from stores.sql import connections
from stores.sql import signing_secrets as rows
from stores.sql.drivers.connection import Connection

# How long a replaced secret still signs, so that receivers can learn the new one.
OVERLAP = timedelta(hours=24)
# Standard Webhooks asks for 24 to 64 bytes.
SECRET_BYTES = 32
# Every active secret signs every request, in one header.
ACTIVE_MAX = 5


class NewSecret(NamedTuple):
    id: str
    secret: str

    def __repr__(self) -> str:
        return f"NewSecret(id={self.id!r})"


class SigningSecrets:
    """All methods raise DatabaseUnavailable and WorkspaceNotFound; those that change something also
    Unauthenticated and BrokenChain.
    """

    def __init__(self, transactions: Transactions, sealer: Sealer) -> None:
        self._transactions = transactions
        self._sealer = sealer

    async def create_secret(self, workspace: str, *, actor: Actor) -> NewSecret:
        """Create a secret in the format of Standard Webhooks; older ones retire after the overlap.

        Raises Forbidden, InvalidRequest and EncryptionNotConfigured.
        """
        if not actor.live:  # it would retire the secret that live requests are signed with
            raise Forbidden("A test key cannot create signing secrets: they sign live requests.")
        secret_id, plain = str(uuid4()), secrets.token_bytes(SECRET_BYTES)
        sealed, sealed_with = self._seal(plain, place(workspace, secret_id))
        async with self._transactions.begin(workspace, actor) as transaction:
            await existing(transaction.connection, workspace)
            row = rows.SealedSecret(
                id=secret_id,
                workspace=workspace,
                sealed=sealed,
                sealed_with=sealed_with,
                created_at=transaction.now_ms,
                created_by=actor.principal,
            )
            active = await rows.active(transaction.connection, transaction.now_ms)
            if [one.workspace for one in active].count(workspace) >= ACTIVE_MAX:
                raise InvalidRequest(
                    f"The workspace has {ACTIVE_MAX} active secrets; wait until one retires."
                )
            overlap_ms = OVERLAP // timedelta(milliseconds=1)
            await rows.add(
                transaction.connection, row, overlap_ms=overlap_ms, now_ms=transaction.now_ms
            )
            transaction.record("secret.created", secret_id, f"sealed with {sealed_with}")
        return NewSecret(secret_id, "whsec_" + base64.b64encode(plain).decode())

    async def list_secrets(self, workspace: str) -> list[rows.SealedSecret]:
        """Newest first, retired ones too."""
        async with self._transactions.database.connect() as connection:
            await existing(connection, workspace)
            return await rows.list_all(connection, workspace)

    async def reseal(self, *, actor: Actor) -> int:
        """Seal every active secret and every connection's under the newest key; returns how many
        were under another.

        Raises EncryptionNotConfigured.
        """
        async with self._transactions.begin(NOWHERE, actor) as transaction:
            active = await rows.active(transaction.connection, transaction.now_ms)
            older = [row for row in active if row.sealed_with != self._sealer.newest]
            for row in older:
                bound_to = place(row.workspace, row.id)
                sealed, sealed_with = self._resealed(row.id, row.sealed, row.sealed_with, bound_to)
                await rows.reseal(
                    transaction.connection, row.id, sealed=sealed, sealed_with=sealed_with
                )
            return len(older) + await self._reseal_connections(transaction.connection)

    async def _reseal_connections(self, connection: Connection) -> int:
        """One that got a new token meanwhile is under the newest key already."""
        older = await connections.sealed_with_another(connection, self._sealer.newest)
        resealed = 0
        for row, secret in older:
            bound_to = place_of_connection(row.workspace, row.id, row.version)
            newer = connections.Sealed(*self._resealed(row.id, *secret, bound_to))
            resealed += await connections.reseal(connection, row, newer)
        return resealed

    def _resealed(
        self, secret_id: str, sealed: bytes, sealed_with: str, bound_to: str
    ) -> tuple[bytes, str]:
        try:
            plain = self._sealer.unseal(sealed, sealed_with, bound_to=bound_to)
        except (UnknownKey, Forged) as error:
            detail = f"The secret {secret_id} cannot be unsealed: {error}."
            raise EncryptionNotConfigured(detail) from error
        return self._seal(plain, bound_to)

    def _seal(self, plain: bytes, bound_to: str) -> tuple[bytes, str]:
        try:
            return self._sealer.seal(plain, bound_to=bound_to)
        except UnknownKey as error:
            raise EncryptionNotConfigured("RELAY_ENCRYPTION_KEY is not set.") from error
