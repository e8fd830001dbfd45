"""The public keys of the identity issuer in memory, read in the background: no request waits.

The document of the keys is found by OpenID Connect Discovery 1.0. It is read every five minutes,
and within ten seconds of an assertion with an unknown key, so that a rotation needs no restart. A
read that fails changes nothing: the last good keys stay in force.
"""

import asyncio
import logging
import time
import warnings
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, TypeVar

import msgspec
from msgspec import Struct

from gateway.outcomes import Answered, Outcome
from gateway.telemetry import metrics
from gateway.telemetry.background import repeat
from stores.redis.server.health import Check

if TYPE_CHECKING:
    from joserfc.jwk import Key

T = TypeVar("T")


class Fetch(Protocol):
    """GET a document. `deadline`: on the monotonic clock."""

    def __call__(self, url: str, *, deadline: float) -> Awaitable[Outcome]: ...


# NIST SP 800-131A: a shorter RSA key is no protection any more.
RSA_BITS_MIN = 2048
FETCH_SECONDS = 10.0

log = logging.getLogger("relay.access")


class Paces(NamedTuple):
    """`refresh`: how often the keys are read. `apart`: how long two reads are apart at least,
    however many assertions have an unknown key; and how soon a failed read is repeated.
    """

    refresh: timedelta = timedelta(minutes=5)
    apart: timedelta = timedelta(seconds=10)


PACES = Paces()


class NotRead(Exception):
    """The document cannot be used; the message says why and quotes nothing of it."""


class Discovery(Struct):
    issuer: str
    jwks_uri: str


class KeySet(Struct):
    keys: Sequence[dict[str, Any]]


class IssuerKeys:
    def __init__(
        self, fetch: Fetch, issuer: str, *, jwks_url: str | None = None, paces: Paces = PACES
    ) -> None:
        """`jwks_url`: of the keys; by default where the discovery document says."""
        self._fetch = fetch
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._paces = paces
        self._keys: Mapping[str, Key] = {}
        self._failure = "its keys were not read yet"
        self._apart = timedelta()  # before the first read
        self._unknown_seen = asyncio.Event()

    @property
    def known(self) -> bool:
        return bool(self._keys)

    def find(self, kid: str) -> "Key | None":
        """The key with this id. If there is none, the keys are read again soon."""
        if (key := self._keys.get(kid)) is None:
            self._unknown_seen.set()
        return key

    async def watch(self) -> NoReturn:
        """Read the keys for ever."""
        await repeat(self._turn, lambda: self._apart)

    async def refresh(self) -> None:
        """Read the keys; a failure is shown by `check` alone."""
        self._apart = self._paces.apart
        before, failure = self._failure, ""
        try:
            self._keys = _usable(await self._read(await self._location(), KeySet))
        except NotRead as error:
            failure = str(error)
        self._failure = failure
        metrics.counter(metrics.issuer_reads, "failed" if failure else "read").inc()
        if failure != before:
            level = logging.WARNING if failure else logging.INFO
            fields = {"keys": len(self._keys), "detail": failure}
            log.log(level, "issuer.keys", extra={"fields": fields})

    async def _turn(self) -> None:
        if not self._failure:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._paces.refresh.total_seconds()):
                    await self._unknown_seen.wait()
        self._unknown_seen.clear()
        await self.refresh()

    def check(self) -> Check:
        """For /ready. API keys work without the issuer, so nothing here takes a gateway away."""
        if not self._failure:
            return Check("issuer", "ok", f"{len(self._keys)} keys of the identity issuer are known")
        state = "its last keys stay in force" if self.known else "only API keys sign in"
        return Check("issuer", "warning", f"the identity issuer: {self._failure}; {state}")

    async def _location(self) -> str:
        """Raises NotRead."""
        if self._jwks_url:
            return self._jwks_url
        url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        found = await self._read(url, Discovery)
        if found.issuer != self._issuer:
            raise NotRead("its discovery document names another issuer")
        return found.jwks_uri

    async def _read(self, url: str, kind: type[T]) -> T:
        """Raises NotRead."""
        outcome = await self._fetch(url, deadline=time.monotonic() + FETCH_SECONDS)
        what = "keys" if kind is KeySet else "discovery document"
        if not isinstance(outcome, Answered):
            raise NotRead(f"its {what} cannot be read: {outcome.detail}")
        if outcome.status_code != 200 or outcome.truncated:
            size = ", and too long" if outcome.truncated else ""
            raise NotRead(f"its {what} are answered with {outcome.status_code}{size}")
        try:
            return msgspec.json.decode(outcome.response, type=kind)
        except (msgspec.DecodeError, UnicodeError):
            pass
        raise NotRead(f"its {what} are no such JSON")


def _usable(document: KeySet) -> dict[str, "Key"]:
    """The keys for signatures by their ids; raises NotRead if there are none."""
    keys = {}
    for jwk in document.keys:
        kid, use = jwk.get("kid"), jwk.get("use", "sig")
        if isinstance(kid, str) and kid and use == "sig" and (key := _key(jwk)):
            keys[kid] = key
    if not keys:
        raise NotRead("its document has no key that it may sign with")
    return keys


def _key(jwk: dict[str, Any]) -> "Key | None":
    """None for a key of another kind: one that is symmetric, weak, unknown or malformed."""
    # Loaded where it is used: it takes 8 MB.
    from joserfc.errors import JoseError  # noqa: PLC0415
    from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey  # noqa: PLC0415

    try:
        with warnings.catch_warnings(action="ignore"):  # of short keys, which are left out below
            key = JWKRegistry.import_key(jwk)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAKey):
        return key if key.raw_value.key_size >= RSA_BITS_MIN else None
    return key if isinstance(key, ECKey | OKPKey) else None
