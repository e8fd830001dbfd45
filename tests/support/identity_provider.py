"""The OAuth side of the four providers on a real socket, with what they do differently. No person
is asked: `/authorize` consents at once.
"""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.http.server import ListeningServer, running

# What happens to a refresh token that is used: it stays (Google), a new one comes and the old one
# stays valid (Microsoft), or a second use ends the whole grant.
Rotation = Literal["none", "lenient", "strict"]
CLIENT_ID, CLIENT_SECRET = "relay-app", "client-secret-canary"
TENANT = "9122040d-6c67-4c5b-b112-36a304b66dad"


class Consent(NamedTuple):
    asked: Mapping[str, str]
    grant: str


class IdentityProvider:
    """What it answers can be changed while it runs. `errors`: the next answers of the token
    endpoint. `gate`: closed, it holds its answers back after all its work. `before`: the same
    before its work.
    """

    def __init__(self, kind: str = "google", rotation: Rotation = "none") -> None:
        self.kind, self.rotation = kind, rotation
        self.url = ""
        self.client_secret = CLIENT_SECRET
        self.iss: str | None = "right" if kind == "google" else None
        self.scopes: frozenset[str] | None = None
        self.offline, self.life, self.denied = True, 3600, ""
        self.claims: dict[str, Any] = {}
        self.answers: dict[str, Any] = {}
        self.errors: list[tuple[int, Mapping[str, Any]]] = []
        self.forms: list[dict[str, str]] = []
        self.gate, self.before = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.before.set()
        self.arrived = asyncio.Event()
        self.worked = asyncio.Event()
        self.codes: dict[str, Consent] = {}
        self.used: set[str] = set()
        self.refresh_tokens: dict[str, str] = {}
        self.spent: dict[str, str] = {}
        self.ended: set[str] = set()
        self.access_tokens: dict[str, str] = {}
        self.revoke_status, self.latency = 200, 0.0
        self.sends: list[str] = []

    @property
    def refreshes(self) -> int:
        """How many refresh tokens were shown to it."""
        return sum(form.get("grant_type") == "refresh_token" for form in self.forms)

    @property
    def issuer(self) -> str:
        return {
            "google": self.url,
            "microsoft": f"{self.url}/{TENANT}/v2.0",
            "slack": self.url,
            "github": f"{self.url}/login/oauth",
        }[self.kind]

    def app(self) -> Starlette:
        authorize = {
            "google": "/o/oauth2/v2/auth",
            "microsoft": "/{tenant}/oauth2/v2.0/authorize",
            "slack": "/oauth/v2/authorize",
            "github": "/login/oauth/authorize",
        }
        token = {
            "google": "/token",
            "microsoft": "/{tenant}/oauth2/v2.0/token",
            "slack": "/api/oauth.v2.access",
            "github": "/login/oauth/access_token",
        }
        return Starlette(
            routes=[
                Route(authorize[self.kind], self._authorize),
                Route(token[self.kind], self._token, methods=["POST"]),
                Route("/revoke", self._revoke, methods=["POST"]),
                Route("/api/auth.revoke", self._revoke, methods=["POST"]),
                Route("/user", self._user),
                Route("/api", self._api, methods=["POST"]),
            ]
        )

    def refresh_token(self, grant: str = "") -> str:
        """A new one, of this grant or of a new grant."""
        token = f"refresh-canary-{secrets.token_urlsafe(12)}"
        self.refresh_tokens[token] = grant or secrets.token_hex(4)
        return token

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        back = {"state": asked["state"]}
        if self.iss:
            back["iss"] = self.issuer if self.iss == "right" else self.iss
        if self.denied:
            back["error"], back["error_description"] = self.denied, "ann@x.example said no"
        else:
            code = f"code-canary-{secrets.token_urlsafe(9)}"
            self.codes[code] = Consent(asked, secrets.token_hex(4))
            back |= {"code": code, "authuser": "0"}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 302)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        self.forms.append(form)
        self.arrived.set()
        await asyncio.sleep(self.latency)
        await self.before.wait()
        status, said = self._said(form)
        self.worked.set()
        await self.gate.wait()
        return Response(json.dumps(said), status, media_type="application/json")

    def _said(self, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        if self.errors:
            return self.errors.pop(0)
        if form.get("client_secret") != self.client_secret:
            return self._error("invalid_client", 401)
        if form["grant_type"] == "refresh_token":
            return self._refreshed(form["refresh_token"])
        return self._exchanged(form)

    def _error(self, code: str, status: int = 400) -> tuple[int, Mapping[str, Any]]:
        if self.kind == "slack":
            return 200, {"ok": False, "error": code}
        said = {"error": code, "error_description": "AADSTS: ann@x.example"}
        return 200 if self.kind == "github" else status, said

    def _exchanged(self, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        code = form["code"]
        if code in self.used:  # a code that is used twice ends the grant
            self.ended.add(self.codes[code].grant)
        if code not in self.codes or code in self.used:
            return self._error("invalid_grant")
        self.used.add(code)
        asked, grant = self.codes[code]
        verifier = form.get("code_verifier", "").encode()
        challenge = base64.urlsafe_b64encode(sha256(verifier).digest()).decode().rstrip("=")
        if asked.get("code_challenge", challenge) != challenge:
            return self._error("invalid_grant")
        if asked["redirect_uri"] != form["redirect_uri"]:
            return self._error("redirect_uri_mismatch")
        said = self._granted(grant)
        if self.offline and self.kind in ("google", "microsoft"):
            said["refresh_token"] = self.refresh_token(grant)
        wanted = frozenset(asked["scope"].replace(",", " ").split())
        said["scope"] = self._separator.join(sorted(self.scopes or wanted))
        return 200, {**said, **self._identity(asked.get("nonce", "")), **self.answers}

    @property
    def _separator(self) -> str:
        return "," if self.kind in ("slack", "github") else " "

    def _granted(self, grant: str) -> dict[str, Any]:
        token = f"access-canary-{secrets.token_urlsafe(12)}"
        self.access_tokens[token] = grant
        lasting = self.kind in ("slack", "github")
        return {"access_token": token} | ({} if lasting else {"expires_in": self.life})

    def _identity(self, nonce: str) -> dict[str, Any]:
        if self.kind == "slack":
            team = {"id": "T1", "name": "Example"}
            return {"ok": True, "team": team, "bot_user_id": "B1", "authed_user": {"id": "U1"}}
        if self.kind == "github":
            return {"token_type": "bearer"}
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "exp": int(time.time()) + 3600,
            "nonce": nonce,
            "sub": "4711",
            "email": "ann@x.example",
            "email_verified": True,
            "tid": TENANT,
            "oid": "o-1",
            "preferred_username": "ann@x.example",
            **self.claims,
        }
        parts = [{"alg": "none"}, claims]
        written = [base64.urlsafe_b64encode(json.dumps(it).encode()).decode() for it in parts]
        return {"id_token": ".".join(it.rstrip("=") for it in [*written, "c2ln"])}

    def _refreshed(self, token: str) -> tuple[int, Mapping[str, Any]]:
        if token in self.spent and self.rotation == "strict":
            self.ended.add(self.spent[token])
        grant = self.refresh_tokens.get(token)
        if grant is None or grant in self.ended:
            return self._error("invalid_grant")
        said = self._granted(grant)
        if self.rotation != "none":
            said["refresh_token"] = self.refresh_token(grant)
        if self.rotation == "strict":
            self.spent[token] = self.refresh_tokens.pop(token)
        return 200, said

    async def _revoke(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        self.forms.append(form)
        if self.revoke_status == 200 and form.get("token") in self.refresh_tokens:
            self.ended.add(self.refresh_tokens[form["token"]])
        return JSONResponse({}, self.revoke_status)

    async def _api(self, request: Request) -> Response:
        """The provider's API: what is sent with a valid access token is done."""
        token = request.headers["authorization"].removeprefix("Bearer ")
        if self.access_tokens.get(token, "") in {*self.ended, ""}:
            return JSONResponse({}, 401)
        self.sends.append(token)
        return JSONResponse({})

    async def _user(self, request: Request) -> Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        if token not in self.access_tokens:
            return JSONResponse({"message": "Bad credentials"}, 401)
        return JSONResponse({"id": 4711, "login": "ann"})


@asynccontextmanager
async def identifying(
    kind: str = "google", rotation: Rotation = "none"
) -> AsyncIterator[IdentityProvider]:
    provider = IdentityProvider(kind, rotation)
    async with running(ListeningServer(provider.app(), host="127.0.0.1", port=0)) as provider.url:
        try:
            yield provider
        finally:
            provider.gate.set()
            provider.before.set()
