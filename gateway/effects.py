"""An effect: the exact outbound request of an action."""

from collections.abc import Mapping
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct


class Effect(Struct, frozen=True, kw_only=True):
    """One HTTP request. HTTP itself adds only Host and Content-Length to its headers, and egress
    only signatures and trace context.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    summary: str
    warnings: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The host without its port. The guard has accepted the URL."""
        host = (urlsplit(self.url).hostname or "").rstrip(".")
        try:
            return str(ip_address(host))
        except ValueError:
            return host

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the request as text: a line `METHOD URL`, a line `name: value` for each
        header in its order, an empty line, the body.

        No method, URL or header holds a line end, so two different effects never have the same
        text.
        """
        head = [f"{self.method} {self.url}"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        text = "\n".join(head).encode() + b"\n\n" + (self.body or b"")
        return f"sha256:{sha256(text).hexdigest()}"
