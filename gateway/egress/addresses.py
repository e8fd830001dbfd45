"""Which addresses are public, which stand for another address, and which are cloud metadata.

The table below is Relay's own: `ipaddress.is_global` differs between patch releases of Python
(CVE-2024-4032) and allows NAT64, 6to4 and multicast. IPv6 is an allow list: 2000::/3 is the only
block from which IANA assigns unicast addresses.
"""

from bisect import bisect_right
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
)

IPAddress = IPv4Address | IPv6Address

# IANA's IPv4 special-purpose registry, multicast (RFC 5771) and Azure's wire server.
SPECIAL_IPV4 = """
0.0.0.0/8           this network
0.0.0.0/32          this host on this network
10.0.0.0/8          private use
100.64.0.0/10       carrier-grade NAT
127.0.0.0/8         loopback
168.63.129.16/32    Azure's wire server, in a public block
169.254.0.0/16      link local
172.16.0.0/12       private use
192.0.0.0/24        protocol assignments
192.0.0.0/29        IPv4 service continuity
192.0.0.8/32        dummy address
192.0.0.9/32        port control protocol, anycast
192.0.0.10/32       TURN, anycast
192.0.0.170/32      NAT64 and DNS64 discovery
192.0.0.171/32      NAT64 and DNS64 discovery
192.0.2.0/24        documentation
192.31.196.0/24     AS112
192.52.193.0/24     AMT
192.88.99.0/24      6to4 relays, deprecated
192.88.99.2/32      6a44 relays
192.168.0.0/16      private use
192.175.48.0/24     AS112
198.18.0.0/15       benchmarks
198.51.100.0/24     documentation
203.0.113.0/24      documentation
224.0.0.0/4         multicast
240.0.0.0/4         reserved
255.255.255.255/32  broadcast
"""
# IANA's IPv6 special-purpose registry, and all that is not 2000::/3.
SPECIAL_IPV6 = """
::/3                not assigned for global unicast
::/128              unspecified
::1/128             loopback
::ffff:0:0/96       IPv4-mapped
64:ff9b::/96        NAT64
64:ff9b:1::/48      NAT64, local use
100::/64            discard only
100:0:0:1::/64      dummy prefix
2001::/23           protocol assignments
2001::/32           Teredo
2001:1::1/128       port control protocol, anycast
2001:1::2/128       TURN, anycast
2001:1::3/128       DNS-SD registration, anycast
2001:2::/48         benchmarks
2001:3::/32         AMT
2001:4:112::/48     AS112
2001:10::/28        ORCHID, deprecated
2001:20::/28        ORCHIDv2
2001:30::/28        drone remote identification
2001:db8::/32       documentation
2002::/16           6to4
2620:4f:8000::/48   AS112
3fff::/20           documentation
4000::/2            not assigned for global unicast
5f00::/16           segment routing
8000::/1            not assigned for global unicast
fc00::/7            unique local
fe80::/10           link local
"""
# Cloud metadata and credentials, wherever a network puts them.
METADATA_IPV4 = """
169.254.0.0/16      AWS, Azure, Google, ECS, EKS, Oracle, DigitalOcean, Tencent and others
100.100.100.200/32  Alibaba
168.63.129.16/32    Azure
192.0.0.192/32      Oracle
"""
METADATA_IPV6 = """
fd00:ec2::254/128   AWS
fd00:ec2::23/128    EKS
fd00:42::42/128     Scaleway
fd20:ce::254/128    Google
"""
METADATA_NAMES = frozenset(
    """instance-data instance-data.ec2.internal metadata metadata.azure.internal metadata.goog
    metadata.google.internal metadata.tencentyun.com rancher-metadata""".split()
)

_LOW_32 = 0xFFFF_FFFF


class Blocks:
    """The blocks of a table, searched by the number of an address."""

    def __init__(self, kind: type[IPv4Network] | type[IPv6Network], table: str) -> None:
        blocks = (kind(line.split()[0]) for line in table.strip().splitlines())
        merged = sorted(collapse_addresses(blocks))  # type: ignore[type-var]
        self._first = [int(block.network_address) for block in merged]
        self._last = [int(block.broadcast_address) for block in merged]

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._first, number) - 1
        return at >= 0 and number <= self._last[at]


_special = {4: Blocks(IPv4Network, SPECIAL_IPV4), 6: Blocks(IPv6Network, SPECIAL_IPV6)}
_metadata = {4: Blocks(IPv4Network, METADATA_IPV4), 6: Blocks(IPv6Network, METADATA_IPV6)}


def literal(host: str) -> IPAddress | None:
    """The host as an address; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_public(address: IPAddress) -> bool:
    """Whether no special-purpose block holds it. Says nothing of an address inside of it."""
    return int(address) not in _special[address.version]


def embedded(address: IPAddress) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that this IPv6 address reaches through a translator or a tunnel."""
    if isinstance(address, IPv4Address):
        return ()
    n = int(address)
    found: tuple[int, ...] = ()
    if n >> 32 in (0, 0xFFFF, 0xFFFF_0000, 0x64_FF9B << 64):  # compatible, mapped, SIIT, NAT64
        found = (n & _LOW_32,)
    elif n >> 112 == 0x2002:  # 6to4
        found = (n >> 80 & _LOW_32,)
    elif n >> 96 == 0x2001_0000:  # Teredo: its server, and its client, inverted
        found = (n >> 64 & _LOW_32, ~n & _LOW_32)
    elif n >> 32 & 0xFDFF_FFFF == 0x5EFE:  # ISATAP, with or without the bit for a global IPv4
        found = (n & _LOW_32,)
    return tuple(map(IPv4Address, found))


def _translated(n: int) -> tuple[int, ...]:
    """What NAT64 prefixes of /48, /64 and /96 embed (RFC 6052, 2.2). Each network chooses its own
    prefix, in 64:ff9b:1::/48 or elsewhere.
    """
    return ((n >> 64 & 0xFFFF) << 16 | n >> 40 & 0xFFFF, n >> 24 & _LOW_32, n & _LOW_32)


def is_metadata(address: IPAddress) -> bool:
    """Whether this is a metadata address, or may be a translator's spelling of one."""
    n = int(address)
    if isinstance(address, IPv4Address):
        return n in _metadata[4]
    spelled = (*_translated(n), *map(int, embedded(address)))
    return n in _metadata[6] or any(number in _metadata[4] for number in spelled)
