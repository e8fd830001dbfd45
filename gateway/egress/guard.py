"""Which targets may be dialled: public addresses on open ports, and those that EGRESS_ALLOW names.

The guard does no I/O. Preview and execution ask the same questions: `check_url` of the text, and
`check_address` of every address to which its name resolves.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from yarl import URL

from gateway.config.secret import Network
from gateway.egress.addresses import (
    METADATA_NAMES,
    IPAddress,
    embedded,
    is_metadata,
    is_public,
    literal,
)

URL_MAX = 2048
# RFC 1035, 3.1: 255 bytes on the wire.
NAME_MAX = 253
# Accepted URLs that are kept, with at most 1 MB; to check one takes 20 microseconds.
URLS_MAX = 256

SENTENCES = {
    "scheme": "Only https:// URLs (in development also http://) can be targets.",
    "url_too_long": f"A URL may have at most {URL_MAX} characters.",
    "url_not_ascii": "A URL must be ASCII: write names in xn-- form and percent-encode the rest.",
    "url_bad_char": "A URL may not hold spaces, backslashes or control characters.",
    "url_invalid": "This is not a URL.",
    "url_userinfo": "A URL may not hold a user name or a password.",
    "url_fragment": "A URL may not hold a fragment: it is never sent.",
    "url_rewritten": "This URL would be sent in another form; an empty query is one cause.",
    "port": "The port is not open: 443 is, in development 80, and those of EGRESS_PORTS.",
    "host_empty": "The URL names no host.",
    "host_numeric": "A host that ends in a number must be an IPv4 address of four decimal parts.",
    "host_invalid": "A host name consists of letters, digits and hyphens, separated by dots.",
    "host_single_label": "A host name of one part is not public.",
    "host_reserved": "This host name is reserved for private use.",
    "ip_scoped": "An address with a scope is not public.",
    "ip_embedded_v4": "Write an IPv4 address in its IPv4 form.",
    "ip_not_public": "The target is not a public address.",
    "metadata": "Cloud metadata addresses are never allowed.",
}

# Names that are never public: RFC 6761, RFC 8375, RFC 9476, and what clusters and routers use.
RESERVED_SUFFIXES = frozenset(
    """alt arpa cluster corp example home internal intranet invalid lan local localdomain localhost
    onion private svc test""".split()
)


class TargetRefusal(OSError):
    """The guard refuses a target. An OSError, as all that prevents a connection.

    `reason`: a key of SENTENCES.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(SENTENCES[reason])
        self.reason = reason


class Guard:
    """`hosts` and `networks` are exceptions on every port, `authorities` on one: pairs of a host,
    or an address as `str` writes it, and a port. `ports`: open besides 443 and, unless
    `https_only`, 80. `https_only` is the rule of production.
    """

    def __init__(
        self,
        *,
        hosts: Iterable[str] = (),
        networks: Iterable[Network] = (),
        authorities: Iterable[tuple[str, int]] = (),
        ports: Iterable[int] = (),
        https_only: bool = False,
    ) -> None:
        self._hosts = frozenset(hosts)
        self._networks = tuple(networks)
        self._authorities = frozenset(authorities)
        self._ports = frozenset({*ports, 443} if https_only else {*ports, 443, 80})
        self._https_only = https_only
        self._accepted = lru_cache(maxsize=URLS_MAX)(self._check_url)

    def check_url(self, text: str) -> URL:
        """The URL, which is sent exactly as written. Raises TargetRefusal."""
        return self._accepted(text)

    def _check_url(self, text: str) -> URL:
        url = _parse(text)
        host, port = _canonical(url.raw_host or ""), url.port or 0
        address = literal(host)
        if address is not None:
            excepted = self._check_classes(address, host, port)
        elif not (excepted := self._excepted(host, None, port)):
            _check_name(host)
        if host in METADATA_NAMES:
            raise TargetRefusal("metadata")
        if url.scheme == "http" and self._https_only and not excepted:
            raise TargetRefusal("scheme")
        # A name may resolve to an address of an allowed network, which opens every port.
        if not excepted and (address is not None or not self._networks):
            self._check_port(port)
        return url

    def check_address(self, address: IPAddress, *, port: int, host: str = "") -> None:
        """Check an address, and those that it embeds. `host`: the name that resolved to it.

        Raises TargetRefusal.
        """
        if not self._check_classes(address, _canonical(host), port):
            self._check_port(port)

    def _check_classes(self, address: IPAddress, host: str, port: int) -> bool:
        """Whether all of it is allowed by exceptions. Raises TargetRefusal."""
        excepted = True
        for reached in (address, *embedded(address)):
            if not self._excepted(host, reached, port):
                _check_public(reached)
                excepted = False
            elif is_metadata(reached):
                raise TargetRefusal("metadata")
        return excepted

    def _check_port(self, port: int) -> None:
        if port not in self._ports:
            raise TargetRefusal("port")

    def _excepted(self, host: str, address: IPAddress | None, port: int) -> bool:
        if host in self._hosts or (host, port) in self._authorities:
            return True
        if address is None:
            return False
        if self._authorities and (str(address), port) in self._authorities:
            return True
        return any(address in network for network in self._networks)


def _check_public(address: IPAddress) -> None:
    if address.version == 6 and address.scope_id:
        raise TargetRefusal("ip_scoped")
    if address.version == 6 and address.ipv4_mapped:
        raise TargetRefusal("ip_embedded_v4")
    if not is_public(address):
        raise TargetRefusal("ip_not_public")


def _parse(text: str) -> URL:
    _check_text(text)
    authority = re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]
    _check_authority(authority)
    try:
        url = URL(text, encoded=True)
        host = url.raw_host  # read late: raises for a port beyond 65535
    except ValueError as error:
        raise TargetRefusal("url_invalid") from error
    if not host:
        raise TargetRefusal("host_empty")
    if "#" in text:
        raise TargetRefusal("url_fragment")
    dialled = f"[{host}]" if ":" in host else host
    if re.sub(r":[0-9]*$", "", authority) != dialled:
        raise TargetRefusal("url_rewritten")
    path = re.sub(r"^[^:]+://[^/?]*", "", text)
    if url.raw_path_qs != (path if path.startswith("/") else f"/{path}"):
        raise TargetRefusal("url_rewritten")
    return url


def _check_text(text: str) -> None:
    if not re.match(r"https?:", text, re.IGNORECASE):
        raise TargetRefusal("scheme")
    if len(text) > URL_MAX:
        raise TargetRefusal("url_too_long")
    if not text.isascii():
        raise TargetRefusal("url_not_ascii")
    if re.search(r"[\x00-\x20\x7f\\]", text):
        raise TargetRefusal("url_bad_char")


def _check_authority(authority: str) -> None:
    if "@" in authority:
        raise TargetRefusal("url_userinfo")
    port = re.sub(r"^\[[^\]]*\]|^[^:]*", "", authority, count=1).removeprefix(":")
    if not re.fullmatch(r"(-?[0-9]+)?", port):
        raise TargetRefusal("url_invalid")
    if port and not 1 <= int(port[:6]) <= 65535:
        raise TargetRefusal("port")


def _canonical(host: str) -> str:
    """The host in lower case, without a final dot."""
    return host.lower().removesuffix(".")


def _check_name(host: str) -> None:
    labels = host.split(".")
    if all(re.fullmatch(r"[0-9]+", label) for label in labels) and len(labels) == 4:
        raise TargetRefusal("url_invalid")
    # WHATWG URL, "ends in a number": getaddrinfo reads such names as addresses.
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        raise TargetRefusal("host_numeric")
    if len(host) > NAME_MAX or not all(
        re.fullmatch(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", label) for label in labels
    ):
        raise TargetRefusal("host_invalid")
    if len(labels) < 2:
        raise TargetRefusal("host_single_label")
    if labels[-1] in RESERVED_SUFFIXES:
        raise TargetRefusal("host_reserved")
