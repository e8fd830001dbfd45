"""The text of a session cookie: who may have written it, how long it holds, who may use it."""

from datetime import timedelta
from typing import Any

import pytest
from starlette.requests import Request

from gateway.access import sessions
from gateway.problems import CrossSite

PEPPER, OLDER = b"p" * 32, b"o" * 32
NOW = 1_800_000_000.0
MINUTE = 60


def signed_in(**given: float) -> sessions.Session:
    return sessions.start("0aA9zZ5x", now=NOW, key_until=given.get("key_until", NOW + 10**6))


@pytest.mark.parametrize("pepper", [PEPPER, OLDER])
def test_a_session_is_read_as_it_was_written(pepper: bytes) -> None:
    """With the newest pepper and with an older one."""
    session = signed_in()
    assert sessions.read(sessions.write(session, pepper), [PEPPER, OLDER], now=NOW) == session


def test_another_pepper_reads_nothing() -> None:
    assert sessions.read(sessions.write(signed_in(), b"x" * 32), [PEPPER], now=NOW) is None


def test_no_character_can_be_changed() -> None:
    """Each is covered by the signature or is part of it."""
    text = sessions.write(signed_in(), PEPPER)
    for place, was in enumerate(text):
        for other in {"0", "1", "A", "-"} - {was}:
            changed = text[:place] + other + text[place + 1 :]
            assert sessions.read(changed, [PEPPER], now=NOW) is None, changed


@pytest.mark.parametrize(
    ("after", "alive"),
    [(0, True), (30 * MINUTE - 1, True), (30 * MINUTE, False), (9 * 60 * MINUTE, False)],
)
def test_an_idle_session_ends(after: float, alive: bool) -> None:
    text = sessions.write(signed_in(), PEPPER)
    assert (sessions.read(text, [PEPPER], now=NOW + after) is not None) == alive


@pytest.mark.parametrize(("after", "renewed"), [(5 * MINUTE - 1, False), (5 * MINUTE, True)])
def test_a_cookie_is_issued_anew_after_five_minutes(after: float, renewed: bool) -> None:
    assert (signed_in().renewed(NOW + after) is not None) == renewed


def test_a_session_in_use_ends_after_eight_hours() -> None:
    """However often it is issued anew, and its id stays."""
    session, now = signed_in(), NOW
    first = session.id
    while now < NOW + 8 * 60 * MINUTE:
        text = sessions.write(session, PEPPER)
        found = sessions.read(text, [PEPPER], now=now)
        assert found
        session = found.renewed(now) or found
        now += 20 * MINUTE
    assert session.id == first
    assert sessions.read(sessions.write(session, PEPPER), [PEPPER], now=now) is None


def test_a_session_never_outlives_its_key() -> None:
    text = sessions.write(signed_in(key_until=NOW + 10), PEPPER)
    assert sessions.read(text, [PEPPER], now=NOW + 9)
    assert sessions.read(text, [PEPPER], now=NOW + 10) is None


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites() -> None:
    (cookie,) = sessions.set_cookies("v1", production=True)
    assert cookie == "__Host-relay_session=v1; Path=/; HttpOnly; SameSite=Strict; Secure"
    _, plain = sessions.set_cookies("", production=False)
    assert plain == "relay_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"


def request(method: str, **headers: str) -> Request[Any]:
    raw = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return Request({"type": "http", "method": method, "path": "/", "headers": raw})


SITES = [
    ("GET", {"sec_fetch_site": "cross-site"}, True),
    ("POST", {"sec_fetch_site": "same-origin"}, True),
    ("POST", {"sec_fetch_site": "same-site"}, False),
    ("POST", {"sec_fetch_site": "cross-site"}, False),
    ("POST", {"sec_fetch_site": "none"}, False),
    ("DELETE", {"sec_fetch_site": "cross-site", "origin": "https://relay.example"}, False),
    ("DELETE", {"origin": "https://relay.example"}, True),
    ("DELETE", {"origin": "https://relay.example:444"}, False),
    ("DELETE", {"origin": "https://relay.example.org"}, False),
    ("DELETE", {"origin": "null"}, False),
    ("PUT", {}, False),
]


@pytest.mark.parametrize(("method", "headers", "allowed"), SITES)
def test_only_pages_of_this_origin_write(
    method: str, headers: dict[str, str], allowed: bool
) -> None:
    asked = request(method, host="relay.example", **headers)
    if allowed:
        sessions.check_site(asked, page_needed=True)
    else:
        with pytest.raises(CrossSite):
            sessions.check_site(asked, page_needed=True)


def test_the_idle_time_is_shorter_than_the_longest() -> None:
    assert timedelta() < sessions.RENEWED_AFTER < sessions.IDLE < sessions.LONGEST
