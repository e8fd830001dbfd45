"""The client of a Relay gateway: preview, approve and execute actions at most once.

Relay waits, AsyncRelay awaits; both are driven by the same calls. What they raise stands in
`relay_client.problems`, what they return in `relay_client.documents`.
"""

from relay_client.awaiting import AsyncRelay
from relay_client.blocking import Relay
from relay_client.documents import Preview, Run
from relay_client.problems import NoAnswer, Problem, RelayError
from relay_client.webhooks import verify

__all__ = ["AsyncRelay", "NoAnswer", "Preview", "Problem", "Relay", "RelayError", "Run", "verify"]
