"""Tell errors of an unavailable database from errors of our SQL."""


class DatabaseUnavailable(Exception):
    """The database does not answer; the message names the error, and never contains a password."""


class ConnectionLost(DatabaseUnavailable):
    """The connection ended. Another one may work."""


class StatementFailed(Exception):
    """The database refused a statement, for example because a table is missing."""


class IntegrityError(StatementFailed):
    """A row breaks a rule: its id is taken, or it names a row that does not exist."""


class SchemaOutdated(Exception):
    """The gateway needs another schema; the message says what to do."""


def named(error: Exception) -> str:
    """The class of a driver's error and the first line of its message."""
    reason = str(error).partition("\n")[0] or "no answer in time"
    return f"{type(error).__name__}: {reason}"


def unavailable(error: Exception) -> DatabaseUnavailable:
    return DatabaseUnavailable(f"the database does not answer: {named(error)}")
