"""As whom an effect is sent: find a connection for a preview, check it again and give out its
header before the send.

What is not as it was approved is refused before a byte goes out.
"""

from collections.abc import Mapping

from gateway.actions.action import BadParams, Connection
from gateway.effects import Credential, Effect
from gateway.outcomes import Answered, NotSent


class Credentials:
    def find(self, workspace: str, provider: str | None, name: str | None) -> Connection:
        """The connection with this id, or else the only active one of the provider. `provider`:
        None for any. Raises BadParams.
        """
        raise BadParams("/connection", f"This workspace has no connection {name or provider}.")

    def refused(self, workspace: str, effect: Effect) -> NotSent | None:
        """Why the effect may not be sent with its credential."""
        return NotSent("The connection is gone.", "connection_outdated", tried=False)

    async def headers(
        self, workspace: str, effect: Effect, *, deadline: float
    ) -> Mapping[str, str] | NotSent:
        """The headers that carry the credential of this effect. `deadline`: on the monotonic clock,
        also for a new token.
        """
        return self.refused(workspace, effect) or {}

    def rejected(self, workspace: str, credential: Credential, answered: Answered) -> None:
        """Learn from a 401 or a 403 of the provider."""
