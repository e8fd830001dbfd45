"""The params of an action name a connection, or leave it to Relay where there is one alone."""

import pytest

from gateway.actions.action import BadParams
from gateway.connections.credentials import NAMED_MAX, Credentials
from tests.stores.sql.test_connections import ANN
from tests.support.credentials import Rows, credentials

BOB = ANN._replace(id="c-2", label="bob", account="bob@x.example", subject="4712")
CRM = ANN._replace(id="c-3", label="crm", provider="static", kind="bearer")
ENDED = BOB._replace(id="c-4", label="ended", state="needs_reauth")


@pytest.fixture
def rows() -> Rows:
    rows = Rows()
    rows.by_workspace = {"default": [ANN, ENDED, CRM], "other": [BOB]}
    return rows


@pytest.fixture
def found(rows: Rows) -> Credentials:
    return credentials(rows)


@pytest.mark.parametrize(
    ("provider", "name", "expected"),
    [
        ("google", "c-1", "c-1"),
        ("google", "mail", "c-1"),
        ("google", None, "c-1"),
        ("google", "ended", "c-4"),  # so that the refusal says what to do
        (None, "crm", "c-3"),
        (None, "c-1", "c-1"),
    ],
)
def test_an_id_a_label_or_the_only_active_one_will_do(
    found: Credentials, provider: str | None, name: str | None, expected: str
) -> None:
    assert found.find("default", provider, name).id == expected


def test_an_action_knows_the_account_and_no_more(found: Credentials) -> None:
    connection = found.find("default", "google", None)
    assert (connection.account, connection.subject) == ("ann@x.example", "4711")
    assert (connection.provider, connection.scopes) == ("google", {"openid", "email"})
    assert connection.header == "Authorization"


@pytest.mark.parametrize(
    ("provider", "name", "said"),
    [
        ("google", "c-3", "no connection of google with the id or label 'c-3'"),
        ("google", "c-2", "c-1 (mail, ann@x.example), c-4 (ended, bob@x.example, has to be"),
        ("slack", None, "no connection of slack."),
        (None, None, "More than one connection would do"),
        (None, "Mail", "no connection with the id or label 'Mail'"),
    ],
)
def test_what_cannot_be_found_is_answered_with_what_there_is(
    found: Credentials, provider: str | None, name: str | None, said: str
) -> None:
    """Of this workspace alone."""
    with pytest.raises(BadParams) as raised:
        found.find("default", provider, name)
    assert said in str(raised.value)
    assert raised.value.pointer == "/connection"
    assert "c-2 (" not in str(raised.value)


def test_of_two_accounts_relay_chooses_none(rows: Rows, found: Credentials) -> None:
    rows.by_workspace["default"] = [ANN, BOB]
    with pytest.raises(BadParams, match="More than one connection of google would do"):
        found.find("default", "google", None)


def test_a_label_that_two_have_is_refused(rows: Rows, found: Credentials) -> None:
    """An id still tells them apart."""
    rows.by_workspace["default"] = [ANN, BOB._replace(label="mail")]
    with pytest.raises(BadParams, match="Name one by its id"):
        found.find("default", "google", "mail")
    assert found.find("default", "google", "c-2").account == "bob@x.example"


def test_an_id_wins_over_a_label(rows: Rows, found: Credentials) -> None:
    """Or a label could take the place of another connection."""
    rows.by_workspace["default"] = [ANN, BOB._replace(label="c-1")]
    assert found.find("default", "google", "c-1").account == "ann@x.example"


def test_an_account_that_has_to_be_connected_again_is_named(rows: Rows, found: Credentials) -> None:
    rows.by_workspace["default"] = [ENDED]
    with pytest.raises(BadParams, match=r"has to be connected again: c-4 \(ended"):
        found.find("default", "google", None)


def test_a_refusal_names_a_few(rows: Rows, found: Credentials) -> None:
    many = [ANN._replace(id=f"c-{n}", label=str(n)) for n in range(NAMED_MAX + 1)]
    rows.by_workspace["default"] = many
    with pytest.raises(BadParams, match="and more") as raised:
        found.find("default", "google", None)
    assert str(raised.value).count("c-") == NAMED_MAX
