"""What the durable store and those who change it raise, as problems."""

from collections.abc import Iterator

import pytest

from gateway import declined, problems
from gateway.api.declining import PROBLEMS, database_problems
from gateway.declined import Declined
from gateway.problems import Problem, StoreUnavailable
from stores.audit.chain import BrokenChain
from stores.sql.database import DatabaseUnavailable, SchemaOutdated

RAISED = [
    (declined.WorkspaceUnknown("team"), problems.NotFound, "team"),
    (declined.AskingKeyOver(), problems.Unauthenticated, "or it has expired or was revoked"),
    (declined.KeyUnknown("abcdefgh", "w"), problems.KeyNotFound, "There is no key of this id"),
    (declined.KeyOver("It has expired."), problems.KeyOver, "It has expired."),
    (declined.LastAdminKept(), problems.LastAdminKept, "last key"),
    (declined.MoreThanOwn("No more."), problems.Forbidden, "No more."),
    (declined.NoEncryptionKey("Not set."), problems.EncryptionNotConfigured, "Not set."),
    (declined.Unmeant("No role."), problems.InvalidRequest, "No role."),
    (SchemaOutdated("run `relay migrate`"), StoreUnavailable, "run `relay migrate`"),
    (BrokenChain("w"), StoreUnavailable, "run `relay audit verify`"),
    (DatabaseUnavailable("no host db.internal"), StoreUnavailable, "The database does not answer"),
]


def answered(error: Exception, *, check_url: str | None = None) -> Problem:
    with pytest.raises(Problem) as raised, database_problems(check_url=check_url):
        raise error
    return raised.value


def kinds(root: type[Declined] = Declined) -> Iterator[type[Declined]]:
    for kind in root.__subclasses__():
        yield kind
        yield from kinds(kind)


@pytest.mark.parametrize(("error", "problem", "said"), RAISED, ids=repr)
def test_each_has_its_problem(error: Exception, problem: type[Problem], said: str) -> None:
    """With what it says, for a reading and for a change."""
    for check_url in (None, "/keys"):
        answer = answered(error, check_url=check_url)
        assert type(answer) is problem
        assert said in str(answer)


def test_whatever_is_declined_has_a_problem() -> None:
    """But a workspace that is taken: no request makes one."""
    assert {*kinds()} - PROBLEMS.keys() == {declined.WorkspaceTaken}


def test_an_unknown_key_is_not_named() -> None:
    """Or the answer for a foreign id would differ from that for an unknown one."""
    assert "abcdefgh" not in str(answered(declined.KeyUnknown("abcdefgh", "w")))


def test_the_host_of_the_database_is_not_told() -> None:
    assert "db.internal" not in str(answered(DatabaseUnavailable("no host db.internal")))


def test_a_reading_may_be_repeated() -> None:
    away = answered(DatabaseUnavailable("away"))
    assert (away.safe_to_retry, away.headers) == (True, {"Retry-After": "1"})


def test_a_change_that_may_have_been_made_is_to_be_looked_for() -> None:
    """A database that went away at the end of a transaction may have kept it."""
    away = answered(DatabaseUnavailable("away"), check_url="/keys")
    assert away.safe_to_retry is False
    assert "look at GET /keys before" in str(away)


def test_a_change_that_was_not_begun_may_be_repeated() -> None:
    for error in (SchemaOutdated("old"), BrokenChain("w")):
        answer = answered(error, check_url="/keys")
        assert answer.safe_to_retry is True
        assert "Nothing was done" in str(answer)


def test_what_nobody_foresaw_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), database_problems():
        raise ZeroDivisionError
