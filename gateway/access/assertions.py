"""The signed assertion of an identity-aware proxy: who a person is, without an API key.

A JSON Web Token (RFC 7519) in one header, signed by the issuer's key for this audience. Its `sub`
and the issuer make the subject, its `groups` the role. Nothing that is not signed counts. Symmetric
algorithms and `none` are refused before any key is looked at (RFC 8725, 2.1 and 3.1).
"""

import re
import time
import warnings
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from starlette.requests import Request

from gateway.access.issuer_keys import Fetch, IssuerKeys
from gateway.access.principal import Assertion
from gateway.access.roles import ROLES, Role, strongest
from gateway.config.variables import SettingsError
from gateway.problems import AssertionRefused, IssuerUnavailable
from gateway.telemetry import metrics
from gateway.telemetry.background import in_background

if TYPE_CHECKING:
    from joserfc.jwk import Key

ALGORITHMS = (
    "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519".split()
)  # fmt: skip
# Seconds that the clocks of the issuer and of this gateway may differ by.
LEEWAY = 30
# Seconds for which a decision counts: until the assertion expires, within these bounds. Proxies
# sign for a few minutes, and by default others have an hour to decide.
COUNTS_MIN, COUNTS_MAX = 3600, 24 * 3600
# OpenID Connect Core 1.0, 2: at most 255 ASCII characters. A subject stands in lists that spaces
# separate.
SUBJECT = re.compile(r"[!-~]{1,255}")

Reason = Literal["malformed", "algorithm", "unknown_key", "signature", "claim", "no_keys"]


class Trust(NamedTuple):
    """RELAY_OIDC_*. `header`: in lower case. `roles`: by group. `jwks`: the URL of the issuer's
    keys; None where its discovery document names it.
    """

    issuer: str
    audience: str
    header: bytes
    workspace: str
    roles: Mapping[str, str]
    jwks: str | None = None

    def subject(self, name: str) -> str:
        """`name`: the claim `sub`."""
        return f"oidc:{self.issuer}|{name}"

    def role_of(self, groups: Sequence[str]) -> Role | None:
        """The strongest that these groups give now; None if they give none."""
        return strongest([self.roles[group] for group in groups if group in self.roles])


class Assertions:
    def __init__(
        self, trust: Trust, keys: IssuerKeys, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.trust = trust
        self.keys = keys
        self._clock = clock

    def given(self, request: Request[Any]) -> str | None:
        """The text of the assertion, if the request has one. Raises AssertionRefused."""
        name = self.trust.header
        found = [value for key, value in request.scope["headers"] if key == name]
        if len(found) > 1:
            raise self._refused("malformed", "came twice")
        return found[0].decode("latin-1") if found else None

    def verify(self, text: str) -> Assertion:
        """Raises AssertionRefused and IssuerUnavailable."""
        claims = self._claims(text)
        self._check(claims)
        subject, groups = claims["sub"], claims.get("groups", [])
        if not isinstance(subject, str) or not SUBJECT.fullmatch(subject):
            raise self._refused("claim", "has no 1 to 255 visible ASCII characters in `sub`")
        if not isinstance(groups, list):
            raise self._refused("claim", "has no list in `groups`")
        return Assertion(
            subject=self.trust.subject(subject),
            groups=sorted(group for group in self.trust.roles if group in groups),
            until_ms=self._counts_until(claims["exp"]),
        )

    def _claims(self, text: str) -> dict[str, Any]:
        """What the issuer has signed."""
        # Loaded where it is used: it takes 8 MB.
        from joserfc import jws, jwt  # noqa: PLC0415
        from joserfc.errors import JoseError  # noqa: PLC0415

        key = self._key(text)
        # A header parameter that is not understood is ignored, unless `crit` names it (RFC 7515).
        registry = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        try:
            with warnings.catch_warnings(action="ignore"):  # EdDSA has a newer name, Ed25519
                return jwt.decode(text, key, registry=registry).claims
        except (JoseError, ValueError, TypeError):
            pass
        raise self._refused("signature", "is not signed by the issuer")

    def _key(self, text: str) -> "Key":
        """The key that the assertion says it is signed with, for an allowed algorithm."""
        algorithm, key_id = self._header(text)
        if algorithm not in ALGORITHMS:
            raise self._refused(
                "algorithm", "has an algorithm that does not prove who signed it (`alg`)"
            )
        if not self.keys.known:
            self._count("no_keys")
            raise IssuerUnavailable(
                "This gateway has not read the keys of the identity issuer yet. An API key works.",
                headers={"Retry-After": "5"},
            )
        key = self.keys.find(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise self._refused(
                "unknown_key", "names a key that the issuer has not published (`kid`)"
            )
        return key

    def _header(self, text: str) -> tuple[object, object]:
        """Its `alg` and `kid`, which anyone may have written."""
        from joserfc import jws  # noqa: PLC0415
        from joserfc.errors import JoseError  # noqa: PLC0415

        try:
            header = jws.extract_compact(text.encode("latin-1")).headers()
            return header["alg"], header.get("kid")
        except (JoseError, ValueError, TypeError, AttributeError):
            pass
        raise self._refused("malformed", "is no signed JSON Web Token")

    def _check(self, claims: dict[str, Any]) -> None:
        from joserfc.errors import ClaimError, ExpiredTokenError, MissingClaimError  # noqa: PLC0415
        from joserfc.jwt import JWTClaimsRegistry  # noqa: PLC0415

        required = JWTClaimsRegistry(
            now=int(self._clock()),
            leeway=LEEWAY,
            iss={"essential": True, "value": self.trust.issuer},
            aud={"essential": True, "value": self.trust.audience},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        )
        try:
            required.validate(claims)
            return
        except MissingClaimError as missing:
            what = f"lacks `{missing.claim.replace(',', '`, `')}`"
        except ExpiredTokenError:
            what = "has expired (`exp`)"
        except ClaimError as wrong:
            what = f"{WRONG.get(wrong.claim, 'has a wrong value')} (`{wrong.claim}`)"
        raise self._refused("claim", what)

    def _counts_until(self, expires: float) -> int:
        now = self._clock()
        seconds = min(max(expires, now + COUNTS_MIN), now + COUNTS_MAX)
        return int(seconds * 1000)

    def _refused(self, reason: Reason, what: str) -> AssertionRefused:
        self._count(reason)
        header = self.trust.header.decode()
        return AssertionRefused(
            f"The assertion of the proxy {what}. It is read from the header {header}."
        )

    def _count(self, reason: Reason) -> None:
        metrics.counter(metrics.assertions_refused, reason).inc()


WRONG = {
    "iss": "names another issuer than RELAY_OIDC_ISSUER",
    "aud": "names another audience than RELAY_OIDC_AUDIENCE",
    "nbf": "is not valid yet",
    "iat": "is not valid yet",
}


@asynccontextmanager
async def trusting(trust: Trust | None, fetch: Fetch) -> AsyncIterator[Assertions | None]:
    """Read the keys of the issuer while the block lasts, which starts without them. Raises
    SettingsError.
    """
    if trust is None:
        yield None
        return
    if unknown := sorted(set(trust.roles.values()) - set(ROLES)):
        raise SettingsError(
            f"RELAY_OIDC_ROLES has the role {unknown[0]!r}; it may be one of {', '.join(ROLES)}"
        )
    keys = IssuerKeys(fetch, trust.issuer, jwks_url=trust.jwks)
    async with in_background(keys.watch()):
        yield Assertions(trust, keys)
