"""Whose address the audit has: the peer's, or through trusted proxies what the last of them saw."""

from collections.abc import Sequence
from ipaddress import ip_network

import pytest
from starlette.requests import Request

from gateway.access.admission import client_address
from gateway.config import parsers

TEN = "10.0.0.0/8"
IPV6 = "2001:db8:1::/48"

# Peer, proxies that are trusted, the headers X-Forwarded-For in their order, whom that is.
CASES: list[tuple[str | None, Sequence[str], Sequence[str], str]] = [
    # No proxy is trusted: the caller may have written the header.
    ("203.0.113.7", (), (), "203.0.113.7"),
    ("203.0.113.7", (), ("198.51.100.1",), "203.0.113.7"),
    ("10.0.0.1", (), ("198.51.100.1",), "10.0.0.1"),
    # The peer is no proxy of ours.
    ("203.0.113.7", (TEN,), ("198.51.100.1",), "203.0.113.7"),
    ("11.0.0.0", (TEN,), ("198.51.100.1",), "11.0.0.0"),
    ("9.255.255.255", (TEN,), ("198.51.100.1",), "9.255.255.255"),
    # One proxy: what it saw stands last, whatever the client wrote before it.
    ("10.0.0.1", (TEN,), ("198.51.100.1",), "198.51.100.1"),
    ("10.255.255.255", (TEN,), ("198.51.100.1",), "198.51.100.1"),
    ("10.0.0.1", (TEN,), ("1.1.1.1, 198.51.100.1",), "198.51.100.1"),
    ("10.0.0.1", (TEN,), ("1.1.1.1, 10.0.0.9, 198.51.100.1",), "198.51.100.1"),
    ("10.0.0.1", (TEN,), ("junk, 198.51.100.1",), "198.51.100.1"),
    ("10.0.0.1", (TEN,), ("1.1.1.1", "198.51.100.1"), "198.51.100.1"),
    ("10.0.0.1", (TEN,), ("  198.51.100.1\t",), "198.51.100.1"),
    # Two proxies, the second with a header line of its own, too.
    ("10.0.0.2", (TEN,), ("198.51.100.1, 10.0.0.1",), "198.51.100.1"),
    ("10.0.0.2", (TEN,), ("1.1.1.1, 198.51.100.1, 10.0.0.1",), "198.51.100.1"),
    ("10.0.0.2", (TEN,), ("198.51.100.1", "10.0.0.1"), "198.51.100.1"),
    ("10.0.0.2", ("10.0.0.2/32",), ("198.51.100.1, 10.0.0.1",), "10.0.0.1"),
    ("10.0.0.2", ("10.0.0.2/32", "10.0.0.1/32"), ("198.51.100.1, 10.0.0.1",), "198.51.100.1"),
    # Why it counts who is trusted: where everyone is, the caller's own text is taken.
    ("10.0.0.1", ("0.0.0.0/0",), ("6.6.6.6, 198.51.100.1",), "6.6.6.6"),
    ("10.0.0.1", (TEN,), ("6.6.6.6, 198.51.100.1",), "198.51.100.1"),
    # All of them are ours: who came first.
    ("10.0.0.3", (TEN,), ("10.0.0.1, 10.0.0.2",), "10.0.0.1"),
    # What is no address ends it: the nearest that we know of.
    ("10.0.0.1", (TEN,), (), "10.0.0.1"),
    ("10.0.0.1", (TEN,), ("",), "10.0.0.1"),
    ("10.0.0.1", (TEN,), ("unknown",), "10.0.0.1"),
    ("10.0.0.1", (TEN,), ("198.51.100.1, unknown",), "10.0.0.1"),
    ("10.0.0.1", (TEN,), ("198.51.100.1,",), "10.0.0.1"),
    ("10.0.0.1", (TEN,), ("198.51.100.256",), "10.0.0.1"),
    # With ports and brackets, as some proxies write it, and IPv4 within IPv6.
    ("10.0.0.1", (TEN,), ("198.51.100.1:4711",), "198.51.100.1"),
    ("10.0.0.2", (TEN,), ("198.51.100.1:80, 10.0.0.1:81",), "198.51.100.1"),
    ("10.0.0.1", (TEN,), ("[2001:db8::1]",), "2001:db8::1"),
    ("10.0.0.1", (TEN,), ("[2001:db8::1]:443",), "2001:db8::1"),
    ("10.0.0.1", (TEN,), ("::ffff:198.51.100.1",), "198.51.100.1"),
    ("10.0.0.1", (TEN,), ("[::ffff:198.51.100.1]:1",), "198.51.100.1"),
    ("::ffff:10.0.0.1", (TEN,), ("198.51.100.1, ::ffff:10.0.0.6",), "198.51.100.1"),
    ("::ffff:203.0.113.7", (TEN,), ("198.51.100.1",), "203.0.113.7"),
    ("10.0.0.1", (TEN,), ("198.51.100.1:",), "10.0.0.1"),
    ("10.0.0.1", (TEN,), ("198.51.100.1:x",), "10.0.0.1"),
    ("10.0.0.1", (TEN,), ("[2001:db8::1",), "10.0.0.1"),
    ("10.0.0.1", (TEN,), ("[2001:db8::1]443",), "10.0.0.1"),
    ("10.0.0.1", (TEN,), ("[198.51.100.1:80]",), "10.0.0.1"),
    ("10.0.0.1", (TEN,), ("\u00b9.2.3.4",), "10.0.0.1"),
    ("10.0.0.2", (TEN,), ("198.51.100.1, junk, 10.0.0.1",), "10.0.0.1"),
    # IPv6, alone and mixed.
    ("2001:db8:1::5", (IPV6,), ("2001:db8:9::1",), "2001:db8:9::1"),
    ("2001:db8:2::5", (IPV6,), ("2001:db8:9::1",), "2001:db8:2::5"),
    ("2001:db8:1::5", (TEN, IPV6), ("198.51.100.1, 10.0.0.1",), "198.51.100.1"),
    ("10.0.0.1", (TEN, IPV6), ("2001:db8:9::1, 2001:db8:1::5",), "2001:db8:9::1"),
    # A unix socket has no peer address, so no proxy is trusted there.
    (None, (), (), ""),
    (None, (TEN,), ("198.51.100.1",), ""),
    ("", (TEN,), ("198.51.100.1",), ""),
    ("testclient", (TEN,), ("198.51.100.1",), "testclient"),
]


def asked(peer: str | None, forwarded: Sequence[str]) -> Request:
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in forwarded]
    client = None if peer is None else (peer, 4711)
    return Request({"type": "http", "headers": headers, "client": client})


@pytest.mark.parametrize(("peer", "trusted", "forwarded", "whom"), CASES)
def test_it_is_whom_the_last_trusted_proxy_saw(
    peer: str | None, trusted: Sequence[str], forwarded: Sequence[str], whom: str
) -> None:
    """What a stranger writes into the header stands left of that, and is not looked at."""
    proxies = [ip_network(network) for network in trusted]
    assert client_address(asked(peer, forwarded), proxies) == whom


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.6", "10.0.0.6/32"),
        ("::ffff:10.0.0.6", "10.0.0.6/32"),
        ("[::ffff:10.0.0.6]", "10.0.0.6/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::fffe:0:0/95", "::fffe:0:0/95"),
        ("[2001:db8::1]", "2001:db8::1/128"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("[2001:db8::1", None),
        ("10.0.0.6:80", None),
        ("", None),
    ],
)
def test_how_proxies_are_named(text: str, network: str | None) -> None:
    """IPv4 within IPv6 counts as IPv4, as in the header."""
    if network:
        assert parsers.proxies(text) == (ip_network(network),)
    else:
        with pytest.raises(ValueError, match=r"IPv4 or IPv6|empty item|host bits"):
            parsers.proxies(text)
