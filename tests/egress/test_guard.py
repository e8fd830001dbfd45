"""The guard against a table of hostile URLs, with both neighbours of every edge."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.settings import Settings
from gateway.egress.addresses import METADATA_NAMES
from gateway.egress.guard import SENTENCES, Guard
from tests.support.targets import reason, verdict_on

TABLE = Path(__file__).parents[1] / "data" / "egress_urls.tsv"


def rows() -> list[tuple[str, str, str]]:
    lines = TABLE.read_text().splitlines()[1:]
    table = [line.split("\t") for line in lines]
    return [(name, url.encode().decode("unicode_escape"), verdict) for name, url, verdict in table]


def test_the_table_is_complete() -> None:
    """It has 69 rows, each name once, and only reasons that the guard has."""
    names = [name for name, _, _ in rows()]
    assert len(names) == len(set(names)) == 69
    reasons = {verdict.removeprefix("DENY ") for _, _, verdict in rows()} - {"ALLOW"}
    assert reasons < set(SENTENCES)


@pytest.mark.parametrize(
    ("url", "verdict"), [row[1:] for row in rows()], ids=[r[0] for r in rows()]
)
def test_each_url_has_its_verdict(url: str, verdict: str) -> None:
    """The verdict and its reason equal those of the table."""
    assert verdict_on(Guard(https_only=True), url) == verdict


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
        ("https://pub.example.org?a=../b", "ALLOW"),
        ("https://pub.example.org/a b", "DENY url_bad_char"),
        ("https://pub.example.org/\x7f", "DENY url_bad_char"),
        ("https://" + "a" * 63 + ".example.org/", "ALLOW"),
        ("https://" + "a" * 64 + ".example.org/", "DENY host_invalid"),
        (f"https://{'a.' * 125}com/", "ALLOW"),
        (f"https://{'a.' * 125}coms/", "DENY host_invalid"),
    ],
)
def test_the_form_of_a_url(url: str, verdict: str) -> None:
    """Each limit is tested on both sides: length, user name, fragment, dots, case, label."""
    assert verdict_on(Guard(), url) == verdict


@given(
    st.one_of(st.text(), st.builds("https://{}".format, st.text("0aA.:[]%@/#?-\\é。", max_size=20)))
)
def test_any_text_gets_a_verdict(url: str) -> None:
    """The guard accepts or refuses any text, and never fails."""
    assert verdict_on(Guard(https_only=True), url)


@pytest.mark.parametrize("name", sorted(METADATA_NAMES))
def test_a_name_of_metadata_is_never_allowed(name: str) -> None:
    """In any spelling, on any port, whatever it resolves to."""
    allowed = Settings.from_env({"EGRESS_ALLOW": f"{name},{name}:443,10.0.0.0/8"})
    guard = Guard(
        hosts=allowed.egress_hosts,
        networks=allowed.egress_networks,
        authorities=allowed.egress_authorities,
    )
    for spelled in (name, name.upper(), f"{name}.", f"{name}:443"):
        assert verdict_on(guard, f"https://{spelled}/") == "DENY metadata"
    assert verdict_on(Guard(), f"https://{name}/") != "ALLOW"


@pytest.mark.parametrize(
    ("where", "verdict"),
    [
        ("pub.example.org", "ALLOW"),
        ("pub.example.org:443", "ALLOW"),
        ("pub.example.org:442", "DENY port"),
        ("pub.example.org:444", "DENY port"),
        ("pub.example.org:65536", "DENY port"),
        ("pub.example.org:8443", "ALLOW"),
        ("93.184.216.34:8443", "ALLOW"),
        ("93.184.216.34:444", "DENY port"),
        ("10.0.0.1:8443", "DENY ip_not_public"),
        ("vm:22", "ALLOW"),
        ("db.internal:5432", "ALLOW"),
        ("db.internal:5433", "DENY host_reserved"),
        ("db.internal", "DENY host_reserved"),
        ("10.0.0.9:5432", "ALLOW"),
        ("10.0.0.9:5433", "DENY ip_not_public"),
        ("10.0.0.9", "DENY ip_not_public"),
        ("10.0.0.8:5432", "DENY ip_not_public"),
        ("[fd00::9]:5432", "ALLOW"),
        ("[FD00:0::9]:5432", "ALLOW"),
        ("[fd00::9]", "DENY ip_not_public"),
        ("odd.example.org:9000", "ALLOW"),
        ("odd.example.org:9001", "DENY port"),
        ("odd.example.org", "ALLOW"),
    ],
)
def test_the_port_of_a_target(where: str, verdict: str) -> None:
    """443 and EGRESS_PORTS are open to all; an exception opens every port or the one it names."""
    allowed = "vm, db.internal:5432, 10.0.0.9:5432, [fd00::9]:5432, ODD.example.org.:9000"
    settings = Settings.from_env({"EGRESS_PORTS": "8443", "EGRESS_ALLOW": allowed})
    guard = Guard(
        hosts=settings.egress_hosts,
        authorities=settings.egress_authorities,
        ports=settings.egress_ports,
        https_only=True,
    )
    assert verdict_on(guard, f"https://{where}/") == verdict


def test_port_80_is_open_in_development() -> None:
    """Production has no http, and so no port of it."""
    for url in ("http://pub.example.org/", "https://pub.example.org:80/"):
        assert verdict_on(Guard(), url) == "ALLOW"
        assert verdict_on(Guard(https_only=True), url) in ("DENY scheme", "DENY port")


@pytest.mark.parametrize(
    ("address", "why"),
    [("10.1.0.1", None), ("93.184.216.34", "port"), ("10.2.0.1", "ip_not_public")],
)
def test_a_name_may_lead_to_an_allowed_network_on_any_port(address: str, why: str | None) -> None:
    """The port is judged with the address to which the name resolves."""
    guard = Guard(networks=[ip_network("10.1.0.0/16")])
    assert verdict_on(guard, "https://pub.example.org:9000/") == "ALLOW"
    assert reason(guard, address, host="pub.example.org", port=9000) == why
    assert reason(guard, "10.1.0.1", host="pub.example.org") is None
