"""The rules of a request's head: no two servers can read one that passes differently."""

import re
from collections.abc import Sequence
from ipaddress import IPv6Address

from gateway import problems
from gateway.http.middleware import Header

# RFC 9110, 7.2: a name, an IPv4 address or an IP literal, and a port. Not empty (4.2.1).
HOST = re.compile(
    rb"(?:(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{0,5}))?"
)
# RFC 9112, 3.2.2, to a server of HTTP: its authority holds no user (RFC 9110, 4.2.4).
FULL_URL = re.compile(rb"https?://([^/?]+)(?:[/?].*)?", re.IGNORECASE)


def checked(version: str, url: bytes, headers: Sequence[Header]) -> dict[bytes, bytes]:
    """The fields of a head, the last of each name. Raises Problem for a head that two servers
    could read differently.
    """
    fields = dict(headers)
    if version not in ("1.0", "1.1"):
        raise problems.InvalidRequest("Relay speaks HTTP/1.1.")
    full = FULL_URL.fullmatch(url)
    if b"#" in url or not (url.startswith(b"/") or (full and _is_host(full[1]))):
        raise problems.InvalidRequest("This is no path of Relay (RFC 9112, 3.2).")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or not all(map(_is_host, hosts)) or (version == "1.1" and not hosts):
        raise problems.InvalidRequest("Send one valid Host (RFC 9112, 3.2).")
    if b"transfer-encoding" in fields:
        codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
        if version == "1.0":
            raise problems.InvalidRequest("HTTP/1.0 has no Transfer-Encoding (RFC 9112, 6.1).")
        if codings != [b"chunked"]:
            raise problems.UnknownTransferCoding("The one transfer coding is chunked.")
    return fields


def _is_host(text: bytes) -> bool:
    match = HOST.fullmatch(text)
    if not match or int(match[2] or 0) > 65535:
        return False
    try:
        return match[1] is None or bool(IPv6Address(match[1].decode()))
    except ValueError:
        return False
