"""Make workspaces, and set what in them differs from the settings."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.declined import Unmeant, WorkspaceTaken
from gateway.transaction import By, Changes, existing

if TYPE_CHECKING:
    from stores.sql.workspaces import Workspace


class Workspaces:
    """All raise DatabaseUnavailable; what changes something also Declined and BrokenChain."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    async def create(self, name: str, *, by: By) -> None:
        from stores.sql import workspaces as rows

        async with self._changes.begin(name, by) as change:
            try:
                made = await rows.create(change.connection, name, now_ms=change.now_ms)
            except ValueError as error:
                raise Unmeant(f"{name!r} cannot be a name: {error}.") from error
            if not made:
                raise WorkspaceTaken(name)
            change.record("workspace.created", name, "")

    async def limit(self, name: str, limits: Mapping[str, int | None], *, by: By) -> "Workspace":
        """Change the limits that are named; None takes the settings'. Returns what it is then."""
        from stores.sql import workspaces as rows

        async with self._changes.begin(name, by) as change:
            await rows.lock(change.connection, name)
            before = await existing(change.connection, name)
            after = before.limits._replace(**limits)
            if after != before.limits:
                await rows.change(change.connection, name, after)
                change.record("workspace.changed", name, _said(limits))
        return before._replace(limits=after)

    async def list(self) -> "list[Workspace]":
        from stores.sql import workspaces as rows

        async with self._changes.reading() as connection:
            return await rows.listed(connection)


def _said(limits: Mapping[str, int | None]) -> str:
    return ", ".join(
        f"{name} {'default' if limit is None else limit}" for name, limit in limits.items()
    )
