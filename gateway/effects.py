"""An effect: the exact outbound request of an action."""

import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct

PORTS = {"http": 80, "https": 443}
# Strict: what two parsers could read in two ways is none.
ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
    r"(?=[/?]|\Z)"
)


def origin_of(url: str) -> str | None:
    """The scheme, the host in lower case, and the port unless it is the usual one; None for text
    that is no URL.
    """
    if not (found := ORIGIN.match(url)):
        return None
    scheme, host, port = found["scheme"], found["host"].lower(), int(found["port"] or 0)
    usual = port in (0, PORTS[scheme])
    return f"{scheme}://{host}" if usual else f"{scheme}://{host}:{port}"


class Credential(Struct, frozen=True, kw_only=True):
    """As whom an effect is sent; no secret. `connection`: its id. `account`: the name that people
    know, which may change. `subject`: the account itself, compared once more before the send.
    `label`: what the workspace calls the connection. `scopes`: what the provider must have granted.
    `header`: the name of the header that carries it.
    """

    connection: str
    provider: str
    account: str
    subject: str
    label: str = ""
    scopes: tuple[str, ...] = ()
    header: str = "Authorization"


class Effect(Struct, frozen=True, kw_only=True):
    """One HTTP request. What is added to its headers when it is sent: see egress.additions.

    All of it is stored and shown to approvers, so that no secret goes into it. What matters when it
    is sent is in the head or the body, which the digest covers, and in `documents.StoredEffect`.
    `credential` is a line of its own beside the digest. With one, nothing is signed or traced: the
    request goes to a provider. `judge`: what tells success, `status` for 2xx or `json:` and a
    pointer (RFC 6901) into the answer, which is then `true`.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    summary: str
    warnings: tuple[str, ...] = ()
    credential: Credential | None = None
    judge: str = "status"

    @property
    def slot(self) -> str:
        """Whose concurrent runs are counted: of an account, since providers limit those, or else of
        the target.
        """
        return f"connection:{self.credential.connection}" if self.credential else self.target

    @property
    def target(self) -> str:
        """The host and the port, such as `bank.example:443`. The guard has accepted the URL."""
        return _target(self.url)

    @property
    def has_length(self) -> bool:
        """RFC 9110, 8.6: a method that expects a body says so if there is none."""
        return self.body is not None or self.method not in ("GET", "HEAD")

    @property
    def head(self) -> str:
        """A line `METHOD URL`, a line `name: value` for each header in its order, an empty line.

        No method, URL or header holds a line end, so two different effects never have the same
        head and body.
        """
        lines = [f"{self.method} {self.url}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\n".join(lines) + "\n\n"

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the head in UTF-8 and, right behind it, the bytes of the body."""
        return f"sha256:{sha256(self.head.encode() + (self.body or b'')).hexdigest()}"


@lru_cache(maxsize=256)  # takes 7 microseconds, and is asked for three times a run
def _target(of: str) -> str:
    url = urlsplit(of)
    host, port = (url.hostname or "").rstrip("."), url.port or PORTS[url.scheme]
    try:
        return f"[{ip}]:{port}" if (ip := ip_address(host)).version == 6 else f"{ip}:{port}"
    except ValueError:
        return f"{host}:{port}"
