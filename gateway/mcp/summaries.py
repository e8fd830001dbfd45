"""Summaries that this process has shown: executing what it previewed itself asks the store no more
than over HTTP. What is not here is looked up, so replicas agree.
"""

from hashlib import sha256

# 32 bytes each. An agent executes soon after it previews.
KEPT_MAX = 2_000


class Summaries:
    def __init__(self, limit: int = KEPT_MAX) -> None:
        self._limit = limit
        self._shown: dict[bytes, None] = {}

    def add(self, workspace: str, preview_id: str, summary: str) -> None:
        """Above the limit the oldest is forgotten."""
        if len(self._shown) >= self._limit:
            del self._shown[next(iter(self._shown))]
        self._shown[_digest(workspace, preview_id, summary)] = None

    def has(self, workspace: str, preview_id: str, summary: str) -> bool:
        """Whether the preview has this very summary; False may mean that it is not known here."""
        return _digest(workspace, preview_id, summary) in self._shown


def _digest(*parts: str) -> bytes:
    return sha256("\n".join(parts).encode()).digest()
