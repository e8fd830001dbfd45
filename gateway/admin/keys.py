"""Create, rotate and revoke API keys; the text of a key is returned once and stored nowhere.

No key can hand out or revoke more than its own scopes.
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple, assert_never

from gateway.access import api_keys
from gateway.access.roles import ROLES, granted, may_grant
from gateway.problems import Forbidden, InvalidRequest, KeyEnded, KeyNotFound, LastAdminKept
from gateway.transaction import Actor, Transaction, Transactions, existing
from stores.sql import api_keys as rows

EXPIRES_IN = timedelta(days=90)
LONGEST = timedelta(days=365)
OVERLAP = timedelta(hours=24)
NAME_MAX = 100
# Also that of a person that a proxy signs in, so that the person and the key are one identity.
SUBJECT = r"(?:[A-Za-z0-9._@+-]{1,64}|oidc:[!-{}~]{1,128}\|[!-~]{1,255})"


class KeyRequest(NamedTuple):
    """`scopes`: some of the role's scopes; None for all of them. `subject`: the person or program
    behind the key; None for the key itself. `makers`: of the key that this one replaces.
    """

    name: str
    role: str
    scopes: Sequence[str] | None = None
    live: bool = True
    expires_in: timedelta = EXPIRES_IN
    subject: str | None = None
    makers: Sequence[str] = ()


class NewKey(NamedTuple):
    key: rows.ApiKey
    secret: str

    def __repr__(self) -> str:
        return f"NewKey(key={self.key.id!r})"


class KeyAdmin:
    """All methods raise DatabaseUnavailable; those that change something also Unauthenticated,
    Forbidden and BrokenChain.
    """

    def __init__(self, transactions: Transactions, *, pepper: bytes) -> None:
        """`pepper`: the newest."""
        self._transactions = transactions
        self._pepper = pepper

    async def create_key(self, workspace: str, request: KeyRequest, *, actor: Actor) -> NewKey:
        """Raises InvalidRequest and WorkspaceNotFound."""
        _check(request)
        _check_granted(request, actor)
        async with self._transactions.begin(workspace, actor) as transaction:
            await existing(transaction.connection, workspace)
            new_key = await self._insert(transaction, workspace, request, actor=actor)
            transaction.record("key.created", new_key.key.id, _text(request))
        return new_key

    async def rotate_key(
        self, workspace: str, key_id: str, *, actor: Actor, overlap: timedelta = OVERLAP
    ) -> NewKey:
        """Create a key with the same rights and lifetime; the old one ends after the overlap.

        Raises InvalidRequest, KeyNotFound and KeyEnded.
        """
        if overlap < timedelta():
            raise InvalidRequest("The overlap cannot be negative.")
        async with self._transactions.begin(workspace, actor) as transaction:
            old = await rows.find(transaction.connection, workspace, key_id)
            if old is None:
                raise key_not_found(workspace)
            request = _like(old)._replace(makers=await rows.makers(transaction.connection, old))
            _check_granted(request, actor)
            if old.expires_at <= transaction.now_ms:
                raise KeyEnded("This key has expired; create a new one.")
            new_key = await self._insert(transaction, workspace, request, actor=actor)
            end, new = transaction.now_ms + _ms(overlap), new_key.key.id
            if not await rows.retire(
                transaction.connection, workspace, key_id, expires_at=end, replaced_by=new
            ):
                raise KeyEnded("This key was already revoked or rotated.")
            transaction.record("key.rotated", key_id, f"{_text(request)}; replaced by {new}")
        return new_key

    async def revoke_key(self, workspace: str, key_id: str, *, actor: Actor) -> rows.ApiKey:
        """The key after it was revoked; a key that was already revoked stays as it was.

        Raises KeyNotFound and LastAdminKept. A broken audit chain does not stop it: a leaked key
        must go.
        """
        async with self._transactions.begin(workspace, actor, regardless=True) as transaction:
            now_ms = transaction.now_ms
            held = await rows.find(transaction.connection, workspace, key_id)
            if held is None:
                raise key_not_found(workspace)
            if not _within(_like(held), actor):
                raise Forbidden("A key can revoke only keys without more rights than its own.")
            match await rows.revoke(
                transaction.connection, workspace, key_id, actor=actor.principal, now_ms=now_ms
            ):
                case rows.Revoked(key, again=again):
                    if not again:
                        transaction.record("key.revoked", key_id, _text(_like(key)))
                    return key
                case rows.LastAdmin():
                    raise LastAdminKept(
                        "This is the last key that can manage keys in this workspace; "
                        "create another one first, or rotate it."
                    )
                case rows.NoKey():
                    raise key_not_found(workspace)
                case _ as unforeseen:
                    assert_never(unforeseen)

    async def list_keys(self, workspace: str) -> list[rows.ApiKey]:
        """All keys, revoked and expired ones too, newest first. Raises WorkspaceNotFound."""
        async with self._transactions.database.connect() as connection:
            await existing(connection, workspace)
            return await rows.list_all(connection, workspace)

    async def _insert(
        self, transaction: Transaction, workspace: str, request: KeyRequest, *, actor: Actor
    ) -> NewKey:
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
            created_by=actor.principal,
            expires_at=transaction.now_ms + _ms(request.expires_in),
            pepper_id=api_keys.pepper_id(self._pepper),
            subject=request.subject,
            makers=_makers(request, actor),
        )
        await rows.insert(transaction.connection, key)
        return NewKey(key, made.text)


def key_not_found(workspace: str) -> KeyNotFound:
    """The same for an unknown id and for a key of another workspace."""
    return KeyNotFound(f"The workspace {workspace!r} has no key with this id.")


def _check(request: KeyRequest) -> None:
    """Raises InvalidRequest."""
    if request.role not in ROLES:
        raise InvalidRequest(f"The role {request.role!r} is not one of {', '.join(ROLES)}.")
    if request.scopes is not None:
        held = granted(request.role, None, live=request.live)
        beyond = sorted(set(request.scopes) - held)
        if beyond or not request.scopes:
            raise InvalidRequest(
                f"A {kind(request.live)} key with the role {request.role} can have some of "
                f"{', '.join(sorted(held))}; not {', '.join(beyond) or 'none'}."
            )
    if not 1 <= len(request.name) <= NAME_MAX or not request.name.isprintable():
        raise InvalidRequest(f"A name has 1 to {NAME_MAX} printable characters.")
    if request.subject is not None and not re.fullmatch(SUBJECT, request.subject):
        raise InvalidRequest(
            "A subject has 1 to 64 characters of A-Z, a-z, 0-9 and ._@+-, or is that of a person "
            "behind a proxy: oidc:<issuer>|<sub>."
        )
    if not timedelta() < request.expires_in <= LONGEST:
        raise InvalidRequest(f"A key expires at most {LONGEST.days} days from now.")


def _check_granted(request: KeyRequest, actor: Actor) -> None:
    """Raises Forbidden."""
    if not _within(request, actor):
        raise Forbidden(
            "A key can grant only scopes that it has itself, and a test key only test keys."
        )


def _within(request: KeyRequest, actor: Actor) -> bool:
    asked = granted(request.role, request.scopes, live=request.live)
    return may_grant(actor.scopes, asked, granter_live=actor.live, asked_live=request.live)


def _like(key: rows.ApiKey) -> KeyRequest:
    lifetime = timedelta(milliseconds=key.expires_at - key.created_at)
    return KeyRequest(key.name, key.role, key.scopes, key.live, lifetime, key.subject or key.id)


def _makers(request: KeyRequest, actor: Actor) -> str:
    """Its makers have seen the text of the key: with it they cannot approve their own requests."""
    seen = (*request.makers, *actor.makers, actor.subject, actor.key or actor.principal)
    return " ".join(dict.fromkeys(filter(None, seen)))


def _text(request: KeyRequest) -> str:
    scopes = "" if request.scopes is None else f" ({' '.join(sorted(set(request.scopes)))})"
    return f"{kind(request.live)} {request.role}{scopes}: {request.name}"


def kind(live: bool) -> str:
    return "live" if live else "test"


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
