"""End the sessions of browsers, on every gateway within 5 s."""

from gateway.access.sessions import Session
from gateway.transaction import Actor, Transactions
from stores.sql import sessions as rows


class Sessions:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def end(self, workspace: str, session: Session, *, actor: Actor) -> None:
        """Raises DatabaseUnavailable, Unauthenticated and BrokenChain."""
        async with self._transactions.begin(workspace, actor) as transaction:
            await rows.end(
                transaction.connection,
                workspace,
                session.id,
                until_ms=session.until * 1000,
                now_ms=transaction.now_ms,
            )
            transaction.record("session.ended", session.id, "")
