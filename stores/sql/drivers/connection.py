"""What SQLite and PostgreSQL share: one SQL text for both, in PostgreSQL's dialect.

Values are `$1`, `$2`; a list of values is `= ANY($1)`. SQLite has one writer at a time, so that
its connection drops `FOR UPDATE`.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from stores.sql.tables import Table

T = TypeVar("T")


class Patience(NamedTuple):
    """How many seconds until a database counts as unavailable."""

    connect: float = 3.0
    # For one statement, waits for locks included.
    command: float = 10.0
    # For the write lock of SQLite.
    busy: float = 5.0


PATIENCE = Patience()


class Connection(ABC):
    """One transaction at a time. Everything raises DatabaseUnavailable, IntegrityError and
    StatementFailed. A database that is unavailable closes the connection.
    """

    closed = False

    @abstractmethod
    async def begin(self, *, write: bool) -> None:
        """A reader sees one snapshot."""

    @abstractmethod
    async def fetch(self, sql: str, *values: object) -> list[Any]:
        """The rows, as tuples."""

    @abstractmethod
    async def execute(self, sql: str, *values: object) -> int:
        """The number of rows that the statement changed."""

    @abstractmethod
    async def insert(self, table: Table, rows: Sequence[Sequence[object]], then: str = "") -> int:
        """Insert rows, each in the order of the columns; `then`: ON CONFLICT and what to do."""

    @abstractmethod
    async def run(self, work: Callable[["Connection"], Awaitable[T]]) -> T:
        """Several statements, which SQLite executes in one hop to its thread. The work must wait
        for nothing but the connection that it is given.
        """

    @abstractmethod
    def close(self) -> object:
        """Close at once, whatever runs; what was not committed is rolled back."""


class Conditions:
    """Conditions for WHERE, and their values."""

    def __init__(self, workspace: str) -> None:
        self.values: list[object] = [workspace]
        self.sql = "workspace = $1"

    def add(self, condition: str, *values: object) -> None:
        """`{}` in the condition stands for a value. A condition with the value None is left out."""
        if None in values:
            return
        first = len(self.values) + 1
        self.values += values
        self.sql += " AND " + condition.format(*(f"${first + n}" for n in range(len(values))))
