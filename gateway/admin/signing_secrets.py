"""Make and seal anew the signing secrets of workspaces; each is shown once and kept sealed."""

import base64
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from gateway.access.sealing import Forged, Sealer, UnknownKey, place
from gateway.declined import MoreThanOwn, NoEncryptionKey, Unmeant
from gateway.transaction import Actor, Transactions, existing
from stores.audit_entries import NOWHERE

if TYPE_CHECKING:
    from stores.sql.signing_secrets import SealedSecret

# So long both sign: time for receivers to learn the new one.
OVERLAP = timedelta(hours=24)
# Standard Webhooks: 24 to 64.
SECRET_BYTES = 32
# Each signs each request, in one header.
USABLE_MAX = 5


class IssuedSecret(NamedTuple):
    id: str
    secret: str

    def __repr__(self) -> str:
        return f"IssuedSecret(id={self.id!r})"


class SigningSecrets:
    """All raise DatabaseUnavailable; what changes something also Declined and BrokenChain."""

    def __init__(self, transactions: Transactions, sealer: Sealer) -> None:
        self._transactions = transactions
        self._sealer = sealer

    async def create_secret(self, workspace: str, *, actor: Actor) -> IssuedSecret:
        """As Standard Webhooks writes one; those before it retire after the overlap."""
        from stores.sql import signing_secrets as rows

        if not actor.live:  # it would retire the one that live requests are signed with
            raise MoreThanOwn("A test key makes no signing secrets: they sign live requests.")
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
            usable = await rows.active(transaction.connection, transaction.now_ms)
            if [one.workspace for one in usable].count(workspace) >= USABLE_MAX:
                raise Unmeant(f"{USABLE_MAX} secrets sign already; wait until one retires.")
            overlap_ms = OVERLAP // timedelta(milliseconds=1)
            await rows.add(
                transaction.connection, row, overlap_ms=overlap_ms, now_ms=transaction.now_ms
            )
            transaction.record("secret.created", secret_id, f"sealed with {sealed_with}")
        return IssuedSecret(secret_id, "whsec_" + base64.b64encode(plain).decode())

    async def list_secrets(self, workspace: str) -> "list[SealedSecret]":
        """Newest first, retired ones too. Raises WorkspaceUnknown."""
        from stores.sql import signing_secrets as rows

        async with self._transactions.reading() as connection:
            await existing(connection, workspace)
            return await rows.list_all(connection, workspace)

    async def reseal(self, *, actor: Actor) -> int:
        """Seal all that sign under the newest key; how many were under another."""
        from stores.sql import signing_secrets as rows

        async with self._transactions.begin(NOWHERE, actor) as transaction:
            usable = await rows.active(transaction.connection, transaction.now_ms)
            older = [row for row in usable if row.sealed_with != self._sealer.newest]
            for row in older:
                sealed, sealed_with = self._resealed(row)
                await rows.reseal(
                    transaction.connection, row.id, sealed=sealed, sealed_with=sealed_with
                )
        return len(older)

    def _resealed(self, row: "SealedSecret") -> tuple[bytes, str]:
        bound_to = place(row.workspace, row.id)
        try:
            plain = self._sealer.unseal(row.sealed, row.sealed_with, bound_to=bound_to)
        except (UnknownKey, Forged) as error:
            raise NoEncryptionKey(f"The secret {row.id} cannot be unsealed: {error}.") from error
        return self._seal(plain, bound_to)

    def _seal(self, plain: bytes, bound_to: str) -> tuple[bytes, str]:
        try:
            return self._sealer.seal(plain, bound_to=bound_to)
        except UnknownKey as error:
            raise NoEncryptionKey("RELAY_ENCRYPTION_KEY is not set.") from error
