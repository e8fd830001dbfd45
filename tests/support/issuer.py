"""An identity issuer on a real socket, with keys of its own, and what it signs."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from gateway.access.assertions import ALGORITHMS
from tests.support.target import Answer, Target, status
from tests.support.tcp import tcp_server

AUDIENCE, HEADER = "relay", "X-Signed-By"
ROLES = {"staff": "viewer", "agents": "operator", "approvers": "approver", "admins": "admin"}
DISCOVERY, JWKS = "/.well-known/openid-configuration", "/keys"


@cache
def rsa(key_id: str, bits: int = 2048) -> RSAKey:
    return RSAKey.generate_key(bits, {"kid": key_id})


@cache
def ec(key_id: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": key_id})


@cache
def ed(key_id: str) -> OKPKey:
    return OKPKey.generate_key("Ed25519", {"kid": key_id})


def public(*keys: Key, **more: str) -> dict[str, Any]:
    """The document of these keys."""
    return {"keys": [{**key.as_dict(private=False), **more} for key in keys]}


def claims(issuer: str, **given: Any) -> dict[str, Any]:
    """Those of ann, an approver; None leaves a claim out."""
    now = int(time.time())
    usual = {"iss": issuer, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 300}
    made = {**usual, "groups": ["approvers"], **given}
    return {name: value for name, value in made.items() if value is not None}


def sign(said: Mapping[str, Any], key: Key, algorithm: str = "RS256", **header: Any) -> str:
    head = {"alg": algorithm, "kid": key.kid, **header}
    return jwt.encode(head, dict(said), key, algorithms=[*ALGORITHMS, "HS256"])


class Issuer(Target):
    """`published`: the keys in its document; it signs with the first."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[Key] = [rsa("first")]
        self.answer = self.documents

    @property
    def documents(self) -> Answer:
        async def answer(reader: Any, writer: Any) -> None:
            path = self.deliveries[-1].line.split()[1]
            found = {
                DISCOVERY: {"issuer": self.url, "jwks_uri": self.url + JWKS},
                JWKS: public(*self.published),
            }
            await status(200, json.dumps(found[path]).encode())(reader, writer)

        return answer

    def headers(self, **given: Any) -> dict[str, str]:
        """What the proxy adds to a request of this person."""
        return {HEADER: sign(claims(self.url, **given), self.published[0])}

    def trusted(self, **given: Any) -> dict[str, Any]:
        """The settings of a gateway that trusts it."""
        names = {
            "oidc_issuer": self.url,
            "oidc_audience": AUDIENCE,
            "oidc_header": HEADER.lower().encode(),
            "oidc_workspace": "default",
            "oidc_roles": ROLES,
        }
        return {**names, **given}


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    async with tcp_server(issuer.serve) as port:
        issuer.url = f"http://127.0.0.1:{port}"
        yield issuer
