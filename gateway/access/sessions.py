"""Sessions of browsers: a signed cookie that stands for an API key.

No gateway keeps a session: admission waits for nothing, and any replica must know it at once. The
cookie may do what its key may do. It ends with the key, 8 hours after the sign-in, after 30
minutes without a request, and when the caller signs out.

A write with the cookie must come from a page of the same origin (W3C, Fetch Metadata; OWASP,
Cross-Site Request Forgery Prevention). No page of another site gets the cookie (SameSite=Strict).
"""

import base64
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from starlette.requests import Request

from gateway.problems import CrossSite

LONGEST = timedelta(hours=8)
IDLE = timedelta(minutes=30)
# An older cookie is issued anew with the next answer.
RENEWED_AFTER = timedelta(minutes=5)
# A browser takes a `__Host-` cookie only over TLS or from a local address, and never from a
# sibling domain. Safari takes none over plain http: the second name is for development.
COOKIE, PLAIN_COOKIE = "__Host-relay_session", "relay_session"
SAFE = ("GET", "HEAD", "OPTIONS")
_WRITTEN = re.compile(r"v1\.([0-9A-Za-z]{8})\.(\d{1,12})\.(\d{1,12})\.([\w-]{22})\.([\w-]{43})")


class Session(NamedTuple):
    """`issued` and `until`: seconds since 1970, of this cookie and of the whole session. `id`: the
    same in each cookie of the session.
    """

    key_id: str
    issued: int
    until: int
    id: str

    @property
    def ends(self) -> int:
        """When it ends unless another request comes; seconds since 1970."""
        return min(self.until, self.issued + _seconds(IDLE))

    def renewed(self, now: float) -> "Session | None":
        """The session as issued now; None while it is young."""
        old = now - self.issued >= _seconds(RENEWED_AFTER)
        return self._replace(issued=int(now)) if old else None


def start(key_id: str, *, now: float, key_until: float) -> Session:
    until = int(min(now + _seconds(LONGEST), key_until))
    return Session(key_id, int(now), until, secrets.token_urlsafe(16))


def write(session: Session, pepper: bytes) -> str:
    text = f"v1.{session.key_id}.{session.issued}.{session.until}.{session.id}"
    return f"{text}.{_mac(text, pepper)}"


def read(text: str, peppers: Sequence[bytes], *, now: float) -> Session | None:
    """The session, if one of these peppers signed it and it has not ended by time."""
    if not (written := _WRITTEN.fullmatch(text)):
        return None
    signed, _, mac = text.rpartition(".")
    if not any(hmac.compare_digest(_mac(signed, pepper), mac) for pepper in peppers):
        return None
    key_id, issued, until, session_id, _ = written.groups()
    session = Session(key_id, int(issued), int(until), session_id)
    return session if now < session.ends else None


def given(request: Request[Any]) -> str | None:
    """The text of the session cookie, if the request has one."""
    found: dict[str, str] = {}
    for name, value in request.scope["headers"]:
        if name == b"cookie":
            pairs = (pair.partition("=") for pair in value.decode("latin-1").split(";"))
            found |= {key.strip(): text.strip() for key, _, text in pairs}
    return found.get(COOKIE) or found.get(PLAIN_COOKIE)


def set_cookies(text: str, *, production: bool) -> list[str]:
    """Values of Set-Cookie; an empty text removes the cookie."""
    lasts = "" if text else "; Max-Age=0"
    rest = f"={text}; Path=/; HttpOnly; SameSite=Strict{lasts}"
    cookies = [f"{COOKIE}{rest}; Secure"]
    return cookies if production else [*cookies, f"{PLAIN_COOKIE}{rest}"]


def check_site(request: Request[Any], *, page_needed: bool) -> None:
    """Raises CrossSite for a write that a page of another origin sends. `page_needed`: also where
    the request does not say that a page of this origin sends it.
    """
    if request.method in SAFE:
        return
    headers = request.headers
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        same = site == "same-origin"
    elif origin is not None:
        same = origin.partition("://")[2] == headers.get("host")
    else:
        same = not page_needed
    if not same:
        raise CrossSite("With a session, only a page of this gateway may change something.")


def _mac(text: str, pepper: bytes) -> str:
    # HKDF with one block (RFC 5869), so that the pepper itself signs no cookie.
    key = hmac.digest(hmac.digest(b"relay session", pepper, "sha256"), b"\x01", "sha256")
    mac = hmac.digest(key, text.encode(), "sha256")
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def _seconds(span: timedelta) -> int:
    return span // timedelta(seconds=1)
