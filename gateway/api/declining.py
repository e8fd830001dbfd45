"""What is answered when a change is declined, or when the durable store is away."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from gateway import declined, problems
from gateway.access.admission import CHALLENGE
from gateway.declined import Declined
from gateway.problems import Problem

# No request makes a workspace: nothing stands here for one that is taken.
PROBLEMS: Mapping[type[Declined], type[Problem]] = {
    declined.WorkspaceUnknown: problems.NotFound,
    declined.AskingKeyOver: problems.Unauthenticated,
    declined.KeyUnknown: problems.KeyNotFound,
    declined.KeyOver: problems.KeyOver,
    declined.LastAdminKept: problems.LastAdminKept,
    declined.MoreThanOwn: problems.Forbidden,
    declined.NoEncryptionKey: problems.EncryptionNotConfigured,
    declined.Unmeant: problems.InvalidRequest,
}


@contextmanager
def database_problems(*, check_url: str | None = None) -> Iterator[None]:
    """What the durable store and those who change it raise, as problems.

    `look_at`: of a change, where its caller sees whether it was made; None for a reading.
    """
    from stores.audit.chain import BrokenChain
    from stores.sql.database import DatabaseUnavailable, SchemaOutdated

    try:
        yield
    except declined.KeyUnknown as error:
        raise no_key() from error
    except declined.AskingKeyOver as error:  # as admission says it
        raise problems.Unauthenticated(str(error), headers=CHALLENGE) from error
    except Declined as error:
        raise PROBLEMS[type(error)](str(error)) from error
    except (SchemaOutdated, BrokenChain) as error:
        detail = f"Nothing was done: {error}."
        raise problems.StoreUnavailable(detail, safe_to_retry=True) from error
    except DatabaseUnavailable as error:  # whose message names hosts
        raise _away(check_url) from error


def no_key() -> Problem:
    """The same for an unknown id and for one of another workspace."""
    return problems.KeyNotFound("There is no key of this id in this workspace.")


def _away(check_url: str | None) -> Problem:
    seen = "Ask again."
    if check_url:
        seen = f"Perhaps the change was made: look at GET {check_url} before asking again."
    return problems.StoreUnavailable(
        f"The database does not answer. {seen}",
        safe_to_retry=check_url is None,
        headers={"Retry-After": "1"},
    )
