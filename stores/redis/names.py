"""The names of all Redis keys and channels; no other module spells one.

All keys of a workspace share the hash tag `{workspace}`, so that a script touches one slot of a
cluster. Workspace names and ids are percent-encoded, so that no name can end its tag early or
name a key of another workspace.
"""

from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote

# Written by the checks of /ready, and the name that stands for a workspace in their channel.
PROBE, PROBING = "relay:probe", "-"
# Matches every channel of `settled`.
ANY_SETTLED = "relay:*:settled:*"


@lru_cache(maxsize=1024)
def _prefix(workspace: str) -> str:
    if not workspace:
        raise ValueError("a workspace needs a name: an empty hash tag is no tag")
    return f"relay:{{{quote(workspace, safe='')}}}:"


def preview(workspace: str, preview_id: str) -> str:
    return f"{_prefix(workspace)}preview:{quote(preview_id, safe='')}"


def approval(workspace: str, preview_id: str) -> str:
    """What became of a preview that needs an approval, and its document until then."""
    return f"{approval_prefix(workspace)}{quote(preview_id, safe='')}"


def approval_prefix(workspace: str) -> str:
    """The key of an approval without its id, which scripts append."""
    return f"{_prefix(workspace)}approval:"


def pending(workspace: str) -> str:
    """The previews that wait for a decision, sorted by their deadlines."""
    return f"{_prefix(workspace)}pending"


def reservation(workspace: str, idempotency_key: str) -> str:
    digest = sha256(idempotency_key.encode()).hexdigest()
    return f"{_prefix(workspace)}reservation:{digest}"


def run(workspace: str, run_id: str) -> str:
    return f"{run_prefix(workspace)}{quote(run_id, safe='')}"


def run_prefix(workspace: str) -> str:
    """The key of a run without its id, which scripts append."""
    return f"{_prefix(workspace)}run:"


def outbox(workspace: str) -> str:
    """Audit entries that the database does not have yet: the one kind of key that never expires."""
    return f"{_prefix(workspace)}outbox"


def in_flight(workspace: str) -> str:
    """The runs that hold a concurrency slot. Scripts append `:` and a target for those of one."""
    return f"{_prefix(workspace)}in_flight"


def bucket(workspace: str, verb: str, key_id: str = "") -> str:
    """The quota of a verb: of one API key, or of the workspace."""
    whose = f":{quote(key_id, safe='')}" if key_id else ""
    return f"{_prefix(workspace)}quota:{verb}{whose}"


def settled(workspace: str, awaited: str) -> str:
    """The channel on which the end of a run is published, or the decision on a held preview."""
    return f"{_prefix(workspace)}settled:{quote(awaited, safe='')}"
