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
from gateway.transaction import By, Change, Changes, existing

if TYPE_CHECKING:
    from stores.sql.api_keys import ApiKey

EXPIRES_IN = timedelta(days=90)
LONGEST = timedelta(days=365)
OVERLAP = timedelta(hours=24)
NAME_MAX = 100


class Wanted(NamedTuple):
    """`scopes`: fewer than the role's; None for all of them."""

    name: str
    role: str
    scopes: Sequence[str] | None = None
    live: bool = True
    expires_in: timedelta = EXPIRES_IN


class Issued(NamedTuple):
    key: "ApiKey"
    secret: str

    def __repr__(self) -> str:
        return f"Issued(key={self.key.id!r})"


class Issuing:
    """All raise DatabaseUnavailable; what changes something also Declined and BrokenChain."""

    def __init__(self, changes: Changes, *, pepper: bytes) -> None:
        """`pepper`: the newest."""
        self._changes = changes
        self._pepper = pepper

    async def create_key(self, workspace: str, wanted: Wanted, *, by: By) -> Issued:
        _check(wanted)
        _check_granted(wanted, by)
        async with self._changes.begin(workspace, by) as change:
            await existing(change.connection, workspace)
            issued = await self._insert(change, workspace, wanted, by=by.principal)
            change.record("key.created", issued.key.id, _said(wanted))
        return issued

    async def rotate_key(
        self, workspace: str, key_id: str, *, by: By, overlap: timedelta = OVERLAP
    ) -> Issued:
        """Another key like it, for as long as it was given; it ends after the overlap."""
        from stores.sql import api_keys as rows

        if overlap < timedelta():
            raise declined.Unmeant("An overlap cannot be negative.")
        async with self._changes.begin(workspace, by) as change:
            old = await rows.find(change.connection, workspace, key_id)
            if old is None:
                raise declined.KeyUnknown(key_id, workspace)
            wanted = _like(old)
            _check_granted(wanted, by)
            if old.expires_at <= change.now_ms:
                raise declined.KeyOver("This key has expired; make a new one.")
            issued = await self._insert(change, workspace, wanted, by=by.principal)
            end, new = change.now_ms + _ms(overlap), issued.key.id
            if not await rows.retire(
                change.connection, workspace, key_id, expires_at=end, replaced_by=new
            ):
                raise declined.KeyOver("This key was revoked or rotated before.")
            change.record("key.rotated", key_id, f"{_said(wanted)}; replaced by {new}")
        return issued

    async def revoke_key(self, workspace: str, key_id: str, *, by: By) -> "ApiKey":
        """The key as it is then; one that was revoked before stays as it was."""
        from stores.sql import api_keys as rows

        # A leaked key must go, also while somebody has broken the chain.
        async with self._changes.begin(workspace, by, regardless=True) as change:
            now_ms = change.now_ms
            held = await rows.find(change.connection, workspace, key_id)
            if held is None:
                raise declined.KeyUnknown(key_id, workspace)
            if not _within(_like(held), by):
                raise declined.MoreThanOwn("A key can end only keys that may no more than it.")
            match await rows.revoke(
                change.connection, workspace, key_id, by=by.principal, now_ms=now_ms
            ):
                case rows.Revoked(key, again=again):
                    if not again:
                        change.record("key.revoked", key_id, _said(_like(key)))
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

        async with self._changes.reading() as connection:
            await existing(connection, workspace)
            return await rows.listed(connection, workspace)

    async def _insert(self, change: Change, workspace: str, wanted: Wanted, *, by: str) -> Issued:
        from stores.sql import api_keys as rows

        made = api_keys.make(live=wanted.live)
        key = rows.ApiKey(
            id=made.id,
            workspace=workspace,
            name=wanted.name,
            live=wanted.live,
            role=wanted.role,
            scopes=None if wanted.scopes is None else tuple(sorted(set(wanted.scopes))),
            digest=api_keys.digest(self._pepper, made.text),
            created_at=change.now_ms,
            created_by=by,
            expires_at=change.now_ms + _ms(wanted.expires_in),
            peppered_with=api_keys.pepper_id(self._pepper),
        )
        await rows.insert(change.connection, key)
        return Issued(key, made.text)


def _check(wanted: Wanted) -> None:
    """Raises Unmeant."""
    if wanted.role not in ROLES:
        raise declined.Unmeant(
            f"There is no role {wanted.role!r}; it is one of {', '.join(ROLES)}."
        )
    if wanted.scopes is not None:
        held = granted(wanted.role, None, live=wanted.live)
        beyond = sorted(set(wanted.scopes) - held)
        if beyond or not wanted.scopes:
            raise declined.Unmeant(
                f"A {kind(wanted.live)} key of the role {wanted.role} may hold some of "
                f"{', '.join(sorted(held))}; not {', '.join(beyond) or 'none'}."
            )
    if not 1 <= len(wanted.name) <= NAME_MAX or not wanted.name.isprintable():
        raise declined.Unmeant(f"A name has 1 to {NAME_MAX} characters that can be printed.")
    if not timedelta() < wanted.expires_in <= LONGEST:
        raise declined.Unmeant(
            f"A key expires in the future, at most {LONGEST.days} days from now."
        )


def _check_granted(wanted: Wanted, by: By) -> None:
    """Raises MoreThanOwn."""
    if not _within(wanted, by):
        raise declined.MoreThanOwn(
            "A key hands out only scopes that it has itself, and a test key only test keys."
        )


def _within(wanted: Wanted, by: By) -> bool:
    asked = granted(wanted.role, wanted.scopes, live=wanted.live)
    return may_grant(by.scopes, asked, granter_live=by.live, asked_live=wanted.live)


def _like(key: "ApiKey") -> Wanted:
    lifetime = timedelta(milliseconds=key.expires_at - key.created_at)
    return Wanted(key.name, key.role, key.scopes, key.live, lifetime)


def _said(wanted: Wanted) -> str:
    scopes = "" if wanted.scopes is None else f" ({' '.join(sorted(set(wanted.scopes)))})"
    return f"{kind(wanted.live)} {wanted.role}{scopes}: {wanted.name}"


def kind(live: bool) -> str:
    return "live" if live else "test"


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
