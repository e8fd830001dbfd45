"""Which targets may be dialled: public addresses, and those that EGRESS_ALLOW names.

The guard classifies and does no I/O. It does not use `ipaddress.is_global`, which differs between
patch releases of Python (CVE-2024-4032) and allows NAT64, 6to4 and multicast. IPv6 is an allow
list: 2000::/3 is the only block from which IANA assigns unicast addresses.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from yarl import URL

from gateway.config.secret import Network

IPAddress = IPv4Address | IPv6Address

URL_MAX = 2048

SENTENCES = {
    "scheme": "Only https:// URLs (in development also http://) can be targets.",
    "url_too_long": f"A URL may have at most {URL_MAX} characters.",
    "url_not_ascii": "A URL must be ASCII: write names in xn-- form and percent-encode the rest.",
    "url_bad_char": "A URL may not hold spaces, backslashes or control characters.",
    "url_invalid": "This is not a URL.",
    "url_userinfo": "A URL may not hold a user name or a password.",
    "url_fragment": "A URL may not hold a fragment: it is never sent.",
    "url_rewritten": "This URL would be sent in another form; an empty query is one cause.",
    "port": "A port is a number from 1 to 65535.",
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

# IANA's IPv4 special-purpose registry, multicast and class E, and Azure's wire server.
DENIED_IPV4 = tuple(
    map(
        ip_network,
        """0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16
        172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24
        192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4
        240.0.0.0/4""".split(),
    )
)
PUBLIC_IPV6 = ip_network("2000::/3")
# Special purposes inside it: protocol assignments (Teredo, ORCHID), documentation, 6to4, AS112.
DENIED_IPV6 = tuple(
    map(
        ip_network,
        "2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20".split(),
    )
)
# Cloud metadata and credentials: AWS, Azure, Google, ECS, EKS, Alibaba, Oracle. Never allowed.
METADATA = frozenset(
    map(
        ip_address,
        """169.254.169.254 169.254.170.2 169.254.170.23 168.63.129.16 100.100.100.200 192.0.0.192
        fd00:ec2::254 fd00:ec2::23 fd20:ce::254""".split(),
    )
)
# Names that are never public: RFC 6761, RFC 8375, RFC 9476, and what clusters and routers use.
RESERVED_SUFFIXES = frozenset(
    """alt arpa cluster corp example home internal intranet invalid lan local localdomain localhost
    onion private svc test""".split()
)


class TargetRefusal(OSError):
    """The guard refuses a target. An OSError, so that the HTTP client raises it as its cause.

    `reason`: a key of SENTENCES.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(SENTENCES[reason])
        self.reason = reason


class Guard:
    """`hosts` and `networks` are exceptions. `https_only` is the rule of production."""

    def __init__(
        self,
        *,
        hosts: Iterable[str] = (),
        networks: Iterable[Network] = (),
        https_only: bool = False,
    ) -> None:
        self._hosts = frozenset(hosts)
        self._networks = tuple(networks)
        self._https_only = https_only

    def check_url(self, text: str) -> URL:
        """The URL, which is sent exactly as written. Raises TargetRefusal."""
        url = _parse(text)
        host = _canonical(url.raw_host or "")
        address = literal(host)
        if address is not None:
            self.check_address(address)
        elif host not in self._hosts:
            _check_name(host)
        if url.scheme == "http" and self._https_only and not self._excepted(host, address):
            raise TargetRefusal("scheme")
        return url

    def check_address(self, address: IPAddress, *, host: str = "") -> None:
        """`host`: the name that resolved to this address. Raises TargetRefusal."""
        if self._excepted(host, address):
            if _is_metadata(address):
                raise TargetRefusal("metadata")
            return
        if isinstance(address, IPv4Address):
            public = not any(address in network for network in DENIED_IPV4)
        elif address.scope_id:
            raise TargetRefusal("ip_scoped")
        elif address.ipv4_mapped:
            raise TargetRefusal("ip_embedded_v4")
        else:
            denied = any(address in network for network in DENIED_IPV6)
            public = address in PUBLIC_IPV6 and not denied
        if not public:
            raise TargetRefusal("ip_not_public")

    def _excepted(self, host: str, address: IPAddress | None) -> bool:
        return _canonical(host) in self._hosts or (
            address is not None and any(address in network for network in self._networks)
        )


def _parse(text: str) -> URL:
    _check_text(text)
    _check_authority(re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0])
    try:
        url = URL(text, encoded=True)
        host = url.raw_host  # read late: raises for a port beyond 65535
    except ValueError as error:
        raise TargetRefusal("url_invalid") from error
    if not host:
        raise TargetRefusal("host_empty")
    if "#" in text:
        raise TargetRefusal("url_fragment")
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


def literal(host: str) -> IPAddress | None:
    """The host as an address; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _canonical(host: str) -> str:
    """The host in lower case, without a final dot."""
    return host.lower().removesuffix(".")


def _is_metadata(address: IPAddress) -> bool:
    """Whether this is a metadata address, also in IPv6 forms that embed IPv4: mapped, compatible,
    NAT64 (low bits), 6to4.
    """
    if isinstance(address, IPv4Address):
        return address in METADATA
    plain = IPv6Address(int(address))  # without its scope
    embedded = IPv4Address(int(address) & 0xFFFF_FFFF)
    return bool({plain, embedded, address.sixtofour} & METADATA)


def _check_name(host: str) -> None:
    labels = host.split(".")
    if all(re.fullmatch(r"[0-9]+", label) for label in labels) and len(labels) == 4:
        raise TargetRefusal("url_invalid")
    # WHATWG URL, "ends in a number": getaddrinfo reads such names as addresses.
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        raise TargetRefusal("host_numeric")
    if not all(re.fullmatch(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", label) for label in labels):
        raise TargetRefusal("host_invalid")
    if len(labels) < 2:
        raise TargetRefusal("host_single_label")
    if labels[-1] in RESERVED_SUFFIXES:
        raise TargetRefusal("host_reserved")
