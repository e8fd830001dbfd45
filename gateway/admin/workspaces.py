"""Make workspaces, and set what in them differs from the settings."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.declined import Unmeant, WorkspaceTaken
from gateway.transaction import Actor, Transactions, existing

if TYPE_CHECKING:
    from stores.sql.workspaces import Workspace


class Workspaces:
    """All raise DatabaseUnavailable; what changes something also Declined and BrokenChain."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def create(self, name: str, *, actor: Actor) -> None:
        from stores.sql import workspaces as rows

        async with self._transactions.begin(name, actor) as transaction:
            try:
                made = await rows.create(transaction.connection, name, now_ms=transaction.now_ms)
            except ValueError as error:
                raise Unmeant(f"{name!r} cannot be a name: {error}.") from error
            if not made:
                raise WorkspaceTaken(name)
            transaction.record("workspace.created", name, "")

    async def limit(
        self, name: str, limits: Mapping[str, int | None], *, actor: Actor
    ) -> "Workspace":
        """Change the limits that are named; None takes the settings'. Returns what it is then."""
        from stores.sql import workspaces as rows

        async with self._transactions.begin(name, actor) as transaction:
            await rows.lock(transaction.connection, name)
            before = await existing(transaction.connection, name)
            after = before.limits._replace(**limits)
            if after != before.limits:
                await rows.change(transaction.connection, name, after)
                transaction.record("workspace.changed", name, _said(limits))
        return before._replace(limits=after)

    async def list(self) -> "list[Workspace]":
        from stores.sql import workspaces as rows

        async with self._transactions.reading() as connection:
            return await rows.list_all(connection)


def _said(limits: Mapping[str, int | None]) -> str:
    return ", ".join(
        f"{name} {'default' if limit is None else limit}" for name, limit in limits.items()
    )
