"""Send an effect as the account that was approved, or not at all."""

from gateway.connections.credentials import Credentials
from gateway.effects import Credential, Effect
from gateway.egress.client import Egress
from gateway.outcomes import Answered, NotSent, Outcome


class Sender:
    def __init__(self, egress: Egress, credentials: Credentials) -> None:
        self._egress = egress
        self._credentials = credentials

    async def send(
        self, effect: Effect, *, workspace: str, run_id: str, deadline: float
    ) -> Outcome:
        """`deadline`: on the monotonic clock, for a new token too; see `Egress.send`."""
        if effect.credential is None:
            return await self._egress.send(
                effect, workspace=workspace, run_id=run_id, deadline=deadline
            )
        headers = await self._credentials.headers(workspace, effect, deadline=deadline)
        if isinstance(headers, NotSent):
            return headers
        outcome = await self._egress.send(
            effect, workspace=workspace, run_id=run_id, deadline=deadline, credential=headers
        )
        self._learn(workspace, effect.credential, outcome)
        return outcome

    def _learn(self, workspace: str, credential: Credential, outcome: Outcome) -> None:
        if isinstance(outcome, Answered) and outcome.status_code in (401, 403):
            self._credentials.rejected(workspace, credential, outcome)
