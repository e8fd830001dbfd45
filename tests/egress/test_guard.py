"""The guard against a table of hostile URLs, with both neighbours of every edge."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.settings import Settings
from gateway.egress.guard import DENIED_IPV4, DENIED_IPV6, METADATA, SENTENCES, Guard, TargetRefusal

TABLE = Path(__file__).parents[1] / "data" / "egress_urls.tsv"
EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))

# First and last address of what is refused; spelled apart from the source's own list.
RANGES = """
0.0.0.0 0.255.255.255        10.0.0.0 10.255.255.255       100.64.0.0 100.127.255.255
127.0.0.0 127.255.255.255    168.63.129.16 168.63.129.16   169.254.0.0 169.254.255.255
172.16.0.0 172.31.255.255    192.0.0.0 192.0.0.255         192.0.2.0 192.0.2.255
192.31.196.0 192.31.196.255  192.52.193.0 192.52.193.255   192.88.99.0 192.88.99.255
192.168.0.0 192.168.255.255  192.175.48.0 192.175.48.255   198.18.0.0 198.19.255.255
198.51.100.0 198.51.100.255  203.0.113.0 203.0.113.255     224.0.0.0 255.255.255.255
:: 1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
2001:: 2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff
2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff
2002:: 2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff
2620:4f:8000:: 2620:4f:8000:ffff:ffff:ffff:ffff:ffff
3fff:: 3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff
4000:: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
""".split()
EDGES = [(ip_address(a), ip_address(b)) for a, b in zip(RANGES[::2], RANGES[1::2], strict=True)]
LAST = {4: 2**32 - 1, 6: 2**128 - 1}


def rows() -> list[tuple[str, str, str]]:
    lines = TABLE.read_text().splitlines()[1:]
    table = [line.split("\t") for line in lines]
    return [(name, url.encode().decode("unicode_escape"), verdict) for name, url, verdict in table]


def verdict_on(guard: Guard, url: str) -> str:
    try:
        guard.check_url(url)
    except TargetRefusal as refused:
        return f"DENY {refused.reason}"
    return "ALLOW"


def reason(guard: Guard, address: str, host: str = "") -> str | None:
    try:
        guard.check_address(ip_address(address), host=host)
    except TargetRefusal as refused:
        return refused.reason
    return None


def test_the_table_is_complete() -> None:
    """It has 67 rows, each name once, and only reasons that the guard has."""
    names = [name for name, _, _ in rows()]
    assert len(names) == len(set(names)) == 67
    reasons = {verdict.removeprefix("DENY ") for _, _, verdict in rows()} - {"ALLOW"}
    assert reasons < set(SENTENCES)


@pytest.mark.parametrize(
    ("url", "verdict"), [row[1:] for row in rows()], ids=[r[0] for r in rows()]
)
def test_each_url_has_its_verdict(url: str, verdict: str) -> None:
    """The verdict and its reason equal those of the table."""
    assert verdict_on(Guard(https_only=True), url) == verdict


@pytest.mark.parametrize(("first", "last"), EDGES, ids=str)
def test_denied_ranges_have_exact_edges(
    first: IPv4Address | IPv6Address, last: IPv4Address | IPv6Address
) -> None:
    """The first and the last address are refused; their outer neighbours are public."""
    guard, top = Guard(), LAST[first.version]
    assert reason(guard, str(first)) == reason(guard, str(last)) == "ip_not_public"
    kind = type(first)
    outside = [kind(n) for n in (int(first) - 1, int(last) + 1) if 0 <= n <= top]
    assert [reason(guard, str(address)) for address in outside] == [None] * len(outside)


def test_every_denied_range_is_tested() -> None:
    """Each refused network of the source starts within a range above."""
    for network in (*DENIED_IPV4, *DENIED_IPV6):
        begin = network.network_address
        assert any(
            first.version == begin.version and int(first) <= int(begin) <= int(last)
            for first, last in EDGES
        ), network


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("::ffff:93.184.216.34", "ip_embedded_v4"),
        ("::ffff:127.0.0.1", "ip_embedded_v4"),
        ("::127.0.0.1", "ip_not_public"),
        ("fe80::1%eth0", "ip_scoped"),
        ("2606:4700::1%eth0", "ip_scoped"),
        ("2606:4700::1", None),
        ("93.184.216.34", None),
    ],
)
def test_an_embedded_ipv4_address_is_refused(address: str, why: str | None) -> None:
    """So is an address with a scope, also if the address is public."""
    assert reason(Guard(), address) == why


@pytest.mark.parametrize("address", sorted(map(str, METADATA)))
def test_metadata_is_never_allowed(address: str) -> None:
    """Neither its address, its network nor a name that resolves to it can be an exception."""
    named = Settings.from_env({"EGRESS_ALLOW": f"{address},metadata.internal"})
    guard = Guard(hosts=named.egress_hosts, networks=named.egress_networks)
    assert reason(guard, address) == "metadata"
    assert reason(Guard(networks=EVERYTHING), address) == "metadata"
    assert reason(guard, address, host="metadata.internal") == "metadata"
    assert reason(Guard(), address) == "ip_not_public"
    host = f"[{address}]" if ":" in address else address
    assert verdict_on(guard, f"https://{host}/latest/meta-data/") == "DENY metadata"


@pytest.mark.parametrize(
    "address",
    [
        "::ffff:169.254.169.254",
        "::ffff:100.100.100.200",
        "fd00:ec2::254%eth0",
        "64:ff9b::a9fe:a9fe",
    ],
)
def test_embedded_metadata_is_never_allowed(address: str) -> None:
    """No spelling that a kernel or gateway turns into a metadata address can be an exception."""
    assert reason(Guard(networks=EVERYTHING), address) is not None
    assert reason(Guard(hosts=["target.internal"]), address, host="target.internal") is not None


def test_the_list_of_metadata_addresses() -> None:
    """It has AWS, Azure, Google, ECS, EKS, Alibaba and Oracle."""
    known = """169.254.169.254 169.254.170.2 169.254.170.23 168.63.129.16 100.100.100.200
    192.0.0.192 fd00:ec2::254 fd00:ec2::23 fd20:ce::254""".split()
    assert set(map(ip_address, known)) == METADATA


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("10.0.255.255", "ip_not_public"),
        ("10.1.0.0", None),
        ("10.1.255.255", None),
        ("10.2.0.0", "ip_not_public"),
        ("fd00:1::1", None),
        ("fd00:2::1", "ip_not_public"),
    ],
)
def test_a_network_is_an_exception_to_its_edges(address: str, why: str | None) -> None:
    """EGRESS_ALLOW with a network allows that network and neither neighbour."""
    guard = Guard(networks=[ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")])
    assert reason(guard, address) == why
    host = f"[{address}]" if ":" in address else address
    wanted = "ALLOW" if why is None else f"DENY {why}"
    assert verdict_on(guard, f"https://{host}:8443/") == wanted


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("printer.local", True),
        ("PRINTER.local", True),
        ("printer.local.", True),
        ("a.printer.local", False),
        ("inter.local", False),
        ("printer.local.localhost", False),
        ("vm", True),
        ("vm2", False),
    ],
)
def test_a_host_can_be_an_exception(host: str, allowed: bool) -> None:
    """EGRESS_ALLOW with a name allows it in any case, with or without a final dot."""
    guard = Guard(hosts=["printer.local", "vm"])
    assert (verdict_on(guard, f"https://{host}/") == "ALLOW") is allowed
    assert (reason(guard, "10.0.0.1", host=host) is None) is allowed


@pytest.mark.parametrize(
    ("url", "production"),
    [
        ("http://pub.example.org/", "DENY scheme"),
        ("http://93.184.216.34/", "DENY scheme"),
        ("http://printer.local/", "ALLOW"),
        ("http://10.1.0.1/", "ALLOW"),
        ("http://10.2.0.1/", "DENY ip_not_public"),
        ("https://pub.example.org/", "ALLOW"),
    ],
)
def test_production_allows_http_for_exceptions_only(url: str, production: str) -> None:
    """Development allows http for public targets too."""
    networks = [ip_network("10.1.0.0/16")]
    strict = Guard(hosts=["printer.local"], networks=networks, https_only=True)
    lenient = Guard(hosts=["printer.local"], networks=networks)
    assert verdict_on(strict, url) == production
    assert verdict_on(lenient, url) == ("ALLOW" if production == "DENY scheme" else production)


def of_length(length: int) -> str:
    return "https://pub.example.org/".ljust(length, "a")


@pytest.mark.parametrize(
    ("url", "verdict"),
    [
        (of_length(2048), "ALLOW"),
        (of_length(2049), "DENY url_too_long"),
        ("https://user@pub.example.org/", "DENY url_userinfo"),
        ("https://:secret@pub.example.org/", "DENY url_userinfo"),
        ("https://@pub.example.org/", "DENY url_userinfo"),
        ("https://pub.example.org/@", "ALLOW"),
        ("https://pub.example.org\\@127.0.0.1/", "DENY url_bad_char"),
        ("https://pub.example.org/#part", "DENY url_fragment"),
        ("https://pub.example.org/#", "DENY url_fragment"),
        ("https://pub.example.org/?a=%23", "ALLOW"),
        ("https://pub.example.org./", "ALLOW"),
        ("https://pub.example.org../", "DENY host_invalid"),
        ("https://pub.example.org/hook?", "DENY url_rewritten"),
        ("https://127.0.0.1./", "DENY ip_not_public"),
        ("https://Metadata.Google.Internal/", "DENY host_reserved"),
        ("https://pub.example.org:65535/", "ALLOW"),
        ("https://pub.example.org:65536/", "DENY port"),
        ("https://pub.example.org?a=../b", "ALLOW"),
        ("https://pub.example.org/a b", "DENY url_bad_char"),
        ("https://pub.example.org/\x7f", "DENY url_bad_char"),
        ("https://" + "a" * 63 + ".example.org/", "ALLOW"),
        ("https://" + "a" * 64 + ".example.org/", "DENY host_invalid"),
    ],
)
def test_the_form_of_a_url(url: str, verdict: str) -> None:
    """Each limit is tested on both sides: length, user name, fragment, dots, case, port, label."""
    assert verdict_on(Guard(), url) == verdict


@given(
    st.one_of(st.text(), st.builds("https://{}".format, st.text("0aA.:[]%@/#?-\\é。", max_size=20)))
)
def test_any_text_gets_a_verdict(url: str) -> None:
    """The guard accepts or refuses any text, and never fails."""
    assert verdict_on(Guard(https_only=True), url)
