"""Every special-purpose block to its edges, what addresses embed, and cloud metadata."""

import random
import time
from bisect import bisect_right
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import pytest

from gateway.config.secret import Network
from gateway.config.settings import Settings
from gateway.egress.addresses import SPECIAL_IPV4, SPECIAL_IPV6, Blocks, embedded, is_public
from gateway.egress.guard import Guard
from tests.support.targets import RANGES, reason, verdict_on

EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))
EDGES = [(ip_address(a), ip_address(b)) for a, b in zip(RANGES[::2], RANGES[1::2], strict=True)]
TOP = {4: 2**32 - 1, 6: 2**128 - 1}
LINES = (SPECIAL_IPV4 + SPECIAL_IPV6).strip().split("\n")
SPECIAL = [ip_network(line.split()[0]) for line in LINES if line]

METADATA = """169.254.0.0 169.254.169.254 169.254.170.2 169.254.170.23 169.254.255.255 168.63.129.16
100.100.100.200 192.0.0.192 fd00:ec2::254 fd00:ec2::23 fd00:42::42 fd20:ce::254""".split()


@pytest.mark.parametrize(("first", "last"), EDGES, ids=str)
def test_refused_ranges_have_exact_edges(
    first: IPv4Address | IPv6Address, last: IPv4Address | IPv6Address
) -> None:
    """The first and the last address are refused; their outer neighbours are public."""
    guard, top = Guard(), TOP[first.version]
    assert reason(guard, str(first)) == reason(guard, str(last)) == "ip_not_public"
    kind = type(first)
    outside = [kind(n) for n in (int(first) - 1, int(last) + 1) if 0 <= n <= top]
    assert [reason(guard, str(address)) for address in outside] == [None] * len(outside)


@pytest.mark.parametrize("network", SPECIAL, ids=str)
def test_each_block_of_the_registries_is_refused(network: Network) -> None:
    """First and last are refused, and a neighbour only where another range holds it."""
    first, last = int(network.network_address), int(network.broadcast_address)
    for number in (first - 1, first, last, last + 1):
        if 0 <= number <= TOP[network.version]:
            address = type(network.network_address)(number)
            assert is_public(address) == independently_public(network.version, number), address


def independently_public(version: int, number: int) -> bool:
    edges = _edges[version]
    at = bisect_right(edges, (number, TOP[6] + 1)) - 1
    return at < 0 or number > edges[at][1]


_edges = {
    version: sorted((int(a), int(b)) for a, b in EDGES if a.version == version)
    for version in (4, 6)
}


@pytest.mark.slow
@pytest.mark.parametrize("version", [4, 6])
def test_a_million_random_addresses(version: int) -> None:
    """The table agrees with the ranges of this test, which are spelled apart from it. Half of the
    IPv6 addresses lie in 2000::/3, and half of those in the first blocks of it.
    """
    kind = IPv4Address if version == 4 else IPv6Address
    began, generator = time.monotonic(), random.Random(version)
    for turn in range(1_000_000):
        number = generator.getrandbits(32 if version == 4 else 128)
        if version == 6 and turn % 2:
            number = number >> 3 | 1 << 125
            number = number & (1 << 115) - 1 | 0x2000 << 112 if turn % 4 == 1 else number
        assert is_public(kind(number)) == independently_public(version, number), kind(number)
    assert time.monotonic() - began < 60


def test_a_missing_block_is_found() -> None:
    """The negative control: a table without benchmarks differs at the edges of its ranges."""
    table = Blocks(IPv4Network, SPECIAL_IPV4.replace("198.18.0.0/15", "198.18.0.0/16"))
    numbers = [int(edge) for pair in EDGES for edge in pair if edge.version == 4]
    wrong = [n for n in numbers if (n in table) == independently_public(4, n)]
    assert [str(IPv4Address(n)) for n in wrong] == ["198.19.255.255"]


@pytest.mark.parametrize(
    ("address", "inner"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::10.0.0.1", "10.0.0.1"),
        ("::ffff:0:10.0.0.1", "10.0.0.1"),
        ("64:ff9b::10.0.0.1", "10.0.0.1"),
        ("2002:a00:1::", "10.0.0.1"),
        ("2002:a00:1:1:2:3:4:5", "10.0.0.1"),
        ("2001:0:a00:1::f5ff:fffe", "10.0.0.1 10.0.0.1"),
        ("2606:4700::5efe:10.0.0.1", "10.0.0.1"),
        ("2606:4700::200:5efe:10.0.0.1", "10.0.0.1"),
        ("2606:4700::201:5efe:10.0.0.1", ""),
        ("2606:4700::5eff:10.0.0.1", ""),
        ("2606:4700::10.0.0.1", ""),
        ("10.0.0.1", ""),
        ("64:ff9b:1::10.0.0.1", ""),
    ],
)
def test_embedded_ipv4_addresses(address: str, inner: str) -> None:
    """A translator or tunnel delivers to the inner address."""
    assert " ".join(map(str, embedded(ip_address(address)))) == inner


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("::ffff:93.184.216.34", "ip_embedded_v4"),
        ("::ffff:127.0.0.1", "ip_embedded_v4"),
        ("::127.0.0.1", "ip_not_public"),
        ("2606:4700::5efe:127.0.0.1", "ip_not_public"),
        ("2606:4700::200:5efe:169.254.169.254", "ip_not_public"),
        ("2606:4700::5efe:93.184.216.34", None),
        ("2606:4700::127.0.0.1", None),
        ("fe80::1%eth0", "ip_scoped"),
        ("2606:4700::1%eth0", "ip_scoped"),
        ("2606:4700::1", None),
        ("93.184.216.34", None),
    ],
)
def test_an_address_is_refused_for_what_it_embeds(address: str, why: str | None) -> None:
    """So is an address with a scope, also if the address is public."""
    assert reason(Guard(), address) == why


@pytest.mark.parametrize(
    ("address", "why"),
    [
        # A prefix of local use leads where its network says, which is not in the address.
        ("64:ff9b:1::10.0.0.1", None),
        ("64:ff9b:1::169.254.0.1", "metadata"),
        ("64:ff9b::93.184.216.34", None),
        ("64:ff9b::10.1.0.1", None),
        ("64:ff9b::10.2.0.1", "ip_not_public"),
        ("64:ff9b::127.0.0.1", "ip_not_public"),
        ("64:ff9b::169.254.0.1", "metadata"),
    ],
)
def test_allowing_a_translator_allows_no_private_target_behind_it(
    address: str, why: str | None
) -> None:
    """Behind NAT64 only public addresses and other exceptions are allowed."""
    networks = map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "10.1.0.0/16"))
    assert reason(Guard(networks=networks), address) == why


@pytest.mark.parametrize("address", METADATA)
def test_metadata_is_never_allowed(address: str) -> None:
    """Neither its address, its network, its port nor a name that resolves to it is an exception."""
    host = f"[{address}]" if ":" in address else address
    named = Settings.from_env({"EGRESS_ALLOW": f"{address},{host}:443,metadata.internal,x.y:443"})
    guard = Guard(
        hosts=named.egress_hosts,
        networks=named.egress_networks,
        authorities=named.egress_authorities,
    )
    assert reason(guard, address) == "metadata"
    assert reason(Guard(networks=EVERYTHING), address) == "metadata"
    assert reason(Guard(authorities=named.egress_authorities), address) == "metadata"
    assert reason(guard, address, host="metadata.internal") == "metadata"
    assert reason(guard, address, host="x.y") == "metadata"
    assert reason(Guard(), address) == "ip_not_public"
    assert verdict_on(guard, f"https://{host}/latest/meta-data/") == "DENY metadata"


WRAPPED = """::ffff:{v4} ::{v4} ::ffff:0:{v4} 64:ff9b::{v4} 64:ff9b:1::{v4}
64:ff9b:1:{high}:{mid}:: 64:ff9b:1::{a}:{bc}:{d}00:0
2002:{high}:{low}:: 2002:{high}:{low}::1 2001:0:{high}:{low}::
2001:0:1:2::{nhigh}:{nlow} fd00::5efe:{v4} fd00::200:5efe:{v4} fd00:64::{v4}
fd00:64:1:{high}:{mid}:: fd00:64:1:2:{a}:{bc}:{d}00::""".split()


@pytest.mark.parametrize("form", WRAPPED)
@pytest.mark.parametrize("address", [it for it in METADATA if "." in it])
def test_wrapped_metadata_is_never_allowed(address: str, form: str) -> None:
    """Every spelling that a kernel, a tunnel or a translator of any prefix turns into it."""
    a, b, c, d = (f"{part:02x}" for part in IPv4Address(address).packed)
    inverted = f"{~int(IPv4Address(address)) & 0xFFFF_FFFF:08x}"
    parts = {"a": a, "bc": b + c, "d": d, "high": a + b, "low": c + d, "mid": f"{c}:{d}00"}
    parts |= {"nhigh": inverted[:4], "nlow": inverted[4:], "v4": address}
    spelled = form.format(**parts)
    assert reason(Guard(networks=EVERYTHING), spelled) == "metadata"
    assert reason(Guard(hosts=["target.internal"]), spelled, host="target.internal") == "metadata"
