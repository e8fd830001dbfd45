"""An effect: the exact outbound request that an action comes to."""

from collections.abc import Mapping
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct


class Effect(Struct, frozen=True, kw_only=True):
    """One HTTP request. Its headers are all that is sent but for what HTTP itself
    adds (Host, Content-Length) and what egress adds when it sends (signatures).
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    summary: str
    warnings: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The host, whatever the port, of a URL that the guard has seen."""
        host = (urlsplit(self.url).hostname or "").rstrip(".")
        try:
            return str(ip_address(host))
        except ValueError:
            return host

    @property
    def digest(self) -> str:
        """`sha256:<hex>` over the request as text: a line `METHOD URL`, a line
        `name: value` for each header in its order, an empty line, the body.

        Neither method, URL nor headers can hold a line end, so two different
        effects never read the same.
        """
        head = [f"{self.method} {self.url}"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        text = "\n".join(head).encode() + b"\n\n" + (self.body or b"")
        return f"sha256:{sha256(text).hexdigest()}"
