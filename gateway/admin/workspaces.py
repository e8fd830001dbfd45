"""Create workspaces and change their limits."""

from collections.abc import Mapping

from gateway.problems import InvalidRequest, WorkspaceExists
from gateway.transaction import Actor, Transactions, existing
from stores.sql import workspaces as rows


class Workspaces:
    """All methods raise DatabaseUnavailable; those that change something also BrokenChain."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def create(self, name: str, *, actor: Actor) -> None:
        """Raises InvalidRequest and WorkspaceExists."""
        async with self._transactions.begin(name, actor) as transaction:
            try:
                made = await rows.create(transaction.connection, name, now_ms=transaction.now_ms)
            except ValueError as error:
                raise InvalidRequest(f"{name!r} is not a workspace name: {error}.") from error
            if not made:
                raise WorkspaceExists(f"The workspace {name!r} already exists.")
            transaction.record("workspace.created", name, "")

    async def limit(
        self, name: str, limits: Mapping[str, int | None], *, actor: Actor
    ) -> rows.Workspace:
        """Change the limits that are named; None resets one to the gateway's setting.

        Returns the workspace as changed. Raises WorkspaceNotFound.
        """
        async with self._transactions.begin(name, actor) as transaction:
            before = await existing(transaction.connection, name)
            after = before.limits._replace(**limits)
            if after != before.limits:
                await rows.change(transaction.connection, name, after)
                transaction.record("workspace.changed", name, _text(limits))
        return before._replace(limits=after)

    async def list(self) -> list[rows.Workspace]:
        """By name."""
        async with self._transactions.database.connect() as connection:
            return await rows.list_all(connection)


def _text(limits: Mapping[str, int | None]) -> str:
    return ", ".join(
        f"{name} {'default' if limit is None else limit}" for name, limit in limits.items()
    )
