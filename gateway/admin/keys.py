"""Make, rotate and revoke API keys.

Each change and its audit entry are one transaction; the text of a key is handed out once and
kept nowhere. Nobody hands out more than he has.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, assert_never

from gateway import declined
from gateway.access import api_keys
from gateway.access.roles import ROLES, granted, may_grant
from gateway.transaction import Actor, Transaction, Transactions, existing

if TYPE_CHECKING:
    from stores.sql.api_keys import ApiKey

EXPIRES_IN = timedelta(days=90)
LONGEST = timedelta(days=365)
OVERLAP = timedelta(hours=24)
NAME_MAX = 100


class KeyRequest(NamedTuple):
    """`scopes`: fewer than the role's; None for all of them."""

    name: str
    role: str
    scopes: Sequence[str] | None = None
    live: bool = True
    expires_in: timedelta = EXPIRES_IN


class NewKey(NamedTuple):
    key: "ApiKey"
    secret: str

    def __repr__(self) -> str:
        return f"Issued(key={self.key.id!r})"


class KeyAdmin:
    """All raise DatabaseUnavailable; what changes something also Declined and BrokenChain."""

    def __init__(self, transactions: Transactions, *, pepper: bytes) -> None:
        """`pepper`: the newest."""
        self._transactions = transactions
        self._pepper = pepper

    async def create_key(self, workspace: str, request: KeyRequest, *, actor: Actor) -> NewKey:
        _check(request)
        _check_granted(request, actor)
        async with self._transactions.begin(workspace, actor) as transaction:
            await existing(transaction.connection, workspace)
            new_key = await self._insert(transaction, workspace, request, actor=actor.principal)
            transaction.record("key.created", new_key.key.id, _said(request))
        return new_key

    async def rotate_key(
        self, workspace: str, key_id: str, *, actor: Actor, overlap: timedelta = OVERLAP
    ) -> NewKey:
        """Another key like it, for as long as it was given; it ends after the overlap."""
        from stores.sql import api_keys as rows

        if overlap < timedelta():
            raise declined.Unmeant("An overlap cannot be negative.")
        async with self._transactions.begin(workspace, actor) as transaction:
            old = await rows.find(transaction.connection, workspace, key_id)
            if old is None:
                raise declined.KeyUnknown(key_id, workspace)
            request = _like(old)
            _check_granted(request, actor)
            if old.expires_at <= transaction.now_ms:
                raise declined.KeyOver("This key has expired; make a new one.")
            new_key = await self._insert(transaction, workspace, request, actor=actor.principal)
            end, new = transaction.now_ms + _ms(overlap), new_key.key.id
            if not await rows.retire(
                transaction.connection, workspace, key_id, expires_at=end, replaced_by=new
            ):
                raise declined.KeyOver("This key was revoked or rotated before.")
            transaction.record("key.rotated", key_id, f"{_said(request)}; replaced by {new}")
        return new_key

    async def revoke_key(self, workspace: str, key_id: str, *, actor: Actor) -> "ApiKey":
        """The key as it is then; one that was revoked before stays as it was."""
        from stores.sql import api_keys as rows

        # A leaked key must go, also while somebody has broken the chain.
        async with self._transactions.begin(workspace, actor, regardless=True) as transaction:
            now_ms = transaction.now_ms
            held = await rows.find(transaction.connection, workspace, key_id)
            if held is None:
                raise declined.KeyUnknown(key_id, workspace)
            if not _within(_like(held), actor):
                raise declined.MoreThanOwn("A key can end only keys that may no more than it.")
            match await rows.revoke(
                transaction.connection, workspace, key_id, actor=actor.principal, now_ms=now_ms
            ):
                case rows.Revoked(key, again=again):
                    if not again:
                        transaction.record("key.revoked", key_id, _said(_like(key)))
                    return key
                case rows.LastAdmin():
                    raise declined.LastAdminKept
                case rows.NoKey():
                    raise declined.KeyUnknown(key_id, workspace)
                case _ as unforeseen:
                    assert_never(unforeseen)

    async def list_keys(self, workspace: str) -> "list[ApiKey]":
        """Newest first, all that were ever made. Raises WorkspaceUnknown."""
        from stores.sql import api_keys as rows

        async with self._transactions.reading() as connection:
            await existing(connection, workspace)
            return await rows.list_all(connection, workspace)

    async def _insert(
        self, transaction: Transaction, workspace: str, request: KeyRequest, *, actor: str
    ) -> NewKey:
        from stores.sql import api_keys as rows

        made = api_keys.make(live=request.live)
        key = rows.ApiKey(
            id=made.id,
            workspace=workspace,
            name=request.name,
            live=request.live,
            role=request.role,
            scopes=None if request.scopes is None else tuple(sorted(set(request.scopes))),
            digest=api_keys.digest(self._pepper, made.text),
            created_at=transaction.now_ms,
            created_by=actor,
            expires_at=transaction.now_ms + _ms(request.expires_in),
            pepper_id=api_keys.pepper_id(self._pepper),
        )
        await rows.insert(transaction.connection, key)
        return NewKey(key, made.text)


def _check(request: KeyRequest) -> None:
    """Raises Unmeant."""
    if request.role not in ROLES:
        raise declined.Unmeant(
            f"There is no role {request.role!r}; it is one of {', '.join(ROLES)}."
        )
    if request.scopes is not None:
        held = granted(request.role, None, live=request.live)
        beyond = sorted(set(request.scopes) - held)
        if beyond or not request.scopes:
            raise declined.Unmeant(
                f"A {kind(request.live)} key of the role {request.role} may hold some of "
                f"{', '.join(sorted(held))}; not {', '.join(beyond) or 'none'}."
            )
    if not 1 <= len(request.name) <= NAME_MAX or not request.name.isprintable():
        raise declined.Unmeant(f"A name has 1 to {NAME_MAX} characters that can be printed.")
    if not timedelta() < request.expires_in <= LONGEST:
        raise declined.Unmeant(
            f"A key expires in the future, at most {LONGEST.days} days from now."
        )


def _check_granted(request: KeyRequest, actor: Actor) -> None:
    """Raises MoreThanOwn."""
    if not _within(request, actor):
        raise declined.MoreThanOwn(
            "A key hands out only scopes that it has itself, and a test key only test keys."
        )


def _within(request: KeyRequest, actor: Actor) -> bool:
    asked = granted(request.role, request.scopes, live=request.live)
    return may_grant(actor.scopes, asked, granter_live=actor.live, asked_live=request.live)


def _like(key: "ApiKey") -> KeyRequest:
    lifetime = timedelta(milliseconds=key.expires_at - key.created_at)
    return KeyRequest(key.name, key.role, key.scopes, key.live, lifetime)


def _said(request: KeyRequest) -> str:
    scopes = "" if request.scopes is None else f" ({' '.join(sorted(set(request.scopes)))})"
    return f"{kind(request.live)} {request.role}{scopes}: {request.name}"


def kind(live: bool) -> str:
    return "live" if live else "test"


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
