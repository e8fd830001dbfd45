"""What the database raises, as problems."""

import pytest

from gateway.api.errors import database_problems
from gateway.problem import Problem
from gateway.problems import StoreUnavailable
from stores.audit.chain import BrokenChain
from stores.sql.drivers.errors import DatabaseUnavailable, SchemaOutdated

RAISED = [
    (SchemaOutdated("run `relay migrate`"), "run `relay migrate`"),
    (BrokenChain("w"), "run `relay audit verify`"),
    (DatabaseUnavailable("no host db.internal"), "The database does not answer"),
]


def answered(error: Exception, *, check_url: str | None = None) -> Problem:
    with pytest.raises(Problem) as raised, database_problems(check_url=check_url):
        raise error
    return raised.value


@pytest.mark.parametrize(("error", "text"), RAISED, ids=repr)
def test_each_error_is_store_unavailable(error: Exception, text: str) -> None:
    """For a reading and for a change."""
    for check_url in (None, "/keys"):
        answer = answered(error, check_url=check_url)
        assert type(answer) is StoreUnavailable
        assert text in str(answer)


def test_the_host_of_the_database_is_not_shown() -> None:
    assert "db.internal" not in str(answered(DatabaseUnavailable("no host db.internal")))


def test_a_reading_may_be_repeated() -> None:
    away = answered(DatabaseUnavailable("away"))
    assert (away.safe_to_retry, away.headers) == (True, {"Retry-After": "1"})


def test_a_change_that_may_have_been_made_names_where_to_check() -> None:
    """A database that went away at the end of a transaction may have committed it."""
    away = answered(DatabaseUnavailable("away"), check_url="/keys")
    assert away.safe_to_retry is False
    assert "check GET /keys before" in str(away)


def test_a_change_that_was_not_started_may_be_repeated() -> None:
    for error in (SchemaOutdated("old"), BrokenChain("w")):
        answer = answered(error, check_url="/keys")
        assert answer.safe_to_retry is True
        assert "Nothing was changed" in str(answer)


def test_an_unforeseen_error_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), database_problems():
        raise ZeroDivisionError
