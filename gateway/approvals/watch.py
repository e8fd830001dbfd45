"""What waits in the workspaces: approvals that are pending, and notices that are due.

The sweep of the outboxes reports it, so that nothing here asks the store.
"""

from collections.abc import Collection

from gateway.telemetry import metrics
from stores.redis.outbox import Waiting


class Watch:
    def __init__(self) -> None:
        # Workspaces with pending approvals alone: usually few.
        self._pending: dict[str, tuple[int, float]] = {}
        self._due: set[str] = set()

    @property
    def due(self) -> Collection[str]:
        """The workspaces in which a notice was due at the last sweep."""
        return tuple(self._due)

    def see(self, workspace: str, waiting: Waiting) -> None:
        """Take over what a sweep found in a workspace."""
        for expired in waiting.expired:
            metrics.approval_ended(expired.action, "expired", expired.waited, expired.rules)
        (self._due.add if waiting.notices else self._due.discard)(workspace)
        if waiting.pending:
            self._pending[workspace] = waiting.pending, waiting.used
        elif not self._pending.pop(workspace, None):
            return
        metrics.approvals_pending.set(sum(count for count, _ in self._pending.values()))
        metrics.approvals_used.set(max((used for _, used in self._pending.values()), default=0))
