"""Read and change the policy of a workspace: versioned, audited, and refused if its tests fail."""

from gateway.approvals.policy import Policy
from gateway.approvals.policy_file import PolicyRefused as Unclear
from gateway.problems import (
    PolicyChanged,
    PolicyRefused,
    PolicyVersionNotFound,
    PreconditionRequired,
)
from gateway.transaction import Actor, Transactions, existing
from stores.sql import policies as rows
from stores.sql.policies import PolicyRow


class PolicyAdmin:
    """Every method raises DatabaseUnavailable and WorkspaceNotFound."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def read(self, workspace: str, *, version: int | None = None) -> PolicyRow | None:
        """The newest version by default; None if the workspace never had a policy.

        Raises PolicyVersionNotFound.
        """
        async with self._transactions.database.connect() as connection:
            await existing(connection, workspace)
            if version is None:
                return await rows.find(connection, workspace)
            row = await rows.find_version(connection, workspace, version)
        if row is None:
            raise PolicyVersionNotFound(f"The policy of the workspace has no version {version}.")
        return row

    async def change(
        self, workspace: str, text: str, *, version: int | None, actor: Actor
    ) -> PolicyRow:
        """Put another policy in force; an empty text removes it. `version`: the one that the
        caller has seen, 0 for none; None only where there is none.

        Raises PolicyRefused, PolicyChanged, PreconditionRequired, Unauthenticated and BrokenChain.
        """
        digest = compiled(text).digest if text.strip() else ""
        async with self._transactions.begin(workspace, actor) as transaction:
            await existing(transaction.connection, workspace)
            before = await rows.find(transaction.connection, workspace)
            _check_seen(version, before)
            row = PolicyRow(
                workspace=workspace,
                version=(before.version if before else 0) + 1,
                digest=digest,
                text=text if digest else "",
                created_by=actor.principal,
                created_at=transaction.now_ms,
            )
            await rows.add(transaction.connection, row)
            was = before.digest if before and before.digest else "none"
            transaction.record("policy.changed", str(row.version), f"{was} to {digest or 'none'}")
        return row


def compiled(text: str) -> Policy:
    """The policy of a text that a caller sends. Raises the problem PolicyRefused."""
    try:
        return Policy(text)
    except Unclear as refused:
        raise PolicyRefused(str(refused), errors=refused.errors) from refused


def _check_seen(version: int | None, before: PolicyRow | None) -> None:
    now = before.version if before else 0
    if version is None and now:
        raise PreconditionRequired(
            "Send If-Match with the ETag of GET /policy, so that no change of another is lost."
        )
    if version not in (None, now):
        raise PolicyChanged(f"The policy has the version {now} by now. Read it again.")
