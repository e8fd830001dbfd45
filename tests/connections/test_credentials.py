"""An effect goes out as the account that was approved, or no byte of it does."""

import time

import pytest

from gateway.connections.credentials import Credentials, connection_of
from gateway.effects import Effect
from gateway.outcomes import Answered, NotSent
from tests.support.accounts import ROW, Office
from tests.support.credentials import Rows, credentials
from tests.support.target import status

SEND = "https://mail.example/send"


async def test_an_effect_is_sent_as_its_account(office: Office) -> None:
    """The control of all that is refused below: the same effect, as it was approved."""
    assert isinstance(await office.send(office.effect()), Answered)
    [delivery] = office.target.deliveries
    assert delivery.header("Authorization") == "Bearer t-1"
    assert office.rows.used == [ROW.id]


CHANGES = {
    "deleted": (None, "connection_outdated", "gone"),
    "of another account": ({"subject": "4712"}, "connection_outdated", "another account"),
    "of another provider": ({"provider": "microsoft"}, "connection_outdated", "another account"),
    "without a scope": ({"scopes": "openid"}, "connection_outdated", "mail.send"),
    "in another header": ({"header": "X-Key"}, "connection_outdated", "another header"),
    "ended": ({"state": "needs_reauth"}, "connection_needs_reauth", "ann@x.example"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_connection_that_changed_since_the_preview_sends_nothing(
    office: Office, change: str
) -> None:
    fields, reason, detail = CHANGES[change]
    now = [] if fields is None else [ROW._replace(**fields)]  # type: ignore[arg-type]
    effect, office.rows.by_workspace["default"] = office.effect(), now
    outcome = await office.send(effect)
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.tried) == (reason, False)
    assert detail in outcome.detail
    assert office.credentials.refused("default", effect) == outcome
    assert (office.target.connections, office.tokens.asked, office.rows.used) == (0, [], [])


async def test_a_connection_of_another_workspace_sends_nothing(office: Office) -> None:
    """The id alone opens nothing."""
    outcome = await office.send(office.effect(), workspace="other")
    assert isinstance(outcome, NotSent)
    assert outcome.reason == "connection_outdated"
    assert (office.target.connections, office.tokens.asked) == (0, [])


OTHER_URLS = (
    *("http://mail.example/send", "https://mail.example:8443/send", "https://mail.example./send"),
    *("https://mail.example.evil.example/", "https://evil.example/mail.example"),
    *("https://mail.example@evil.example/", "https://evil.example\\@mail.example/"),
    *("https://evil.example#@mail.example/", "https://mail.example#/", "//mail.example/"),
    *("https://evil.example?@mail.example", "https:///mail.example/", "ftp://mail.example/", ""),
)
SAME_URLS = (SEND, "https://MAIL.example/", "https://mail.example:443", "https://mail.example?a=b")


@pytest.mark.parametrize("url", OTHER_URLS)
async def test_a_token_goes_to_no_other_host(office: Office, url: str) -> None:
    effect = office.effect(url=url or "x")
    outcome = await office.credentials.headers("default", effect, deadline=0)
    assert isinstance(outcome, NotSent)
    assert "host" in outcome.detail
    assert office.tokens.asked == []


@pytest.mark.parametrize("url", SAME_URLS)
def test_a_token_goes_to_the_hosts_of_its_provider(office: Office, url: str) -> None:
    """The control of the hosts that are refused: the same host in other spellings."""
    assert office.credentials.refused("default", office.effect(url=url)) is None


async def test_a_connection_that_goes_while_a_token_comes_sends_nothing(office: Office) -> None:
    office.tokens.meanwhile = office.rows.by_workspace.clear
    outcome = await office.send(office.effect())
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, office.target.connections) == ("connection_outdated", 0)


async def test_a_token_that_does_not_come_sends_nothing(office: Office) -> None:
    """For the reason that the tokens give."""
    office.tokens.token = NotSent("Later.", "connection_unavailable", tried=False)
    assert await office.send(office.effect()) is office.tokens.token
    assert (office.target.connections, office.rows.used) == (0, [])


@pytest.mark.parametrize(("code", "dropped"), [(401, [ROW.id]), (403, []), (200, [])])
async def test_only_a_token_that_was_refused_is_dropped(
    office: Office, code: int, dropped: list[str]
) -> None:
    """And nothing is sent again."""
    office.target.answer = status(code)
    assert isinstance(await office.send(office.effect()), Answered)
    assert office.tokens.dropped == dropped
    assert len(office.target.deliveries) == 1


async def test_without_its_provider_a_connection_is_unavailable() -> None:
    """Its client id and secret may come back with the next start."""
    rows = Rows()
    rows.by_workspace["default"] = [ROW]
    alone: Credentials = credentials(rows, hosts={"google": frozenset({"mail.example"})})
    effect = Effect(
        method="POST",
        url=SEND,
        headers={},
        body=None,
        summary="",
        credential=connection_of(ROW).credential(),
    )
    outcome = await alone.headers("default", effect, deadline=time.monotonic() + 1)
    assert isinstance(outcome, NotSent)
    assert outcome.reason == "connection_unavailable"
    assert "google" in outcome.detail
