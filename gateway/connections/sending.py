"""Send an effect as the account that was approved, or not at all.

A target that repeats the header of a request shows no secret to the caller.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from gateway.connections.credentials import Credentials
from gateway.effects import Credential, Effect
from gateway.egress.client import Egress
from gateway.outcomes import Answered, NotSent, Outcome

HIDDEN = "[secret]"
# A shorter value may be in any text by chance.
SHORTEST = 8


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
        if isinstance(outcome, Answered):
            return replace(outcome, response=without(outcome.response, headers.values()))
        return outcome

    def _learn(self, workspace: str, credential: Credential, outcome: Outcome) -> None:
        if isinstance(outcome, Answered) and outcome.status_code in (401, 403):
            self._credentials.rejected(workspace, credential, outcome)


def without(text: str, values: Iterable[str]) -> str:
    """The text without the secrets in these values of headers, also where it ends within one."""
    for value in values:
        secret = value.rpartition(" ")[2]
        if len(secret) < SHORTEST:
            continue
        text = text.replace(secret, HIDDEN)
        ends = (secret[:length] for length in range(len(secret) - 1, SHORTEST // 2, -1))
        if end := next((end for end in ends if text.endswith(end)), ""):
            text = text.removesuffix(end) + HIDDEN
    return text
