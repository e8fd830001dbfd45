"""The names of all Redis keys and channels; no other module spells one.

All keys of a workspace share the hash tag `{workspace}`, so that a script touches one slot of a
cluster. Workspace names and ids are percent-encoded, so that no name can end its tag early or
name a key of another workspace.
"""

from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote, unquote

# Written by the checks of /ready, and the name that stands for a workspace in their channel.
PROBE, PROBING = "relay:probe", "-"
# Stands for a workspace where there is none. No workspace can have this name.
NOWHERE = "-"
# Matches every channel of `changed`.
ANY_CHANGED = "relay:*:changed:*"


@lru_cache(maxsize=1024)
def _prefix(workspace: str) -> str:
    if not workspace:
        raise ValueError("a workspace needs a name: an empty hash tag is no tag")
    return f"relay:{{{quote(workspace, safe='')}}}:"


def _encoded(name: str) -> str:
    """Most ids need no encoding, which `quote` takes a microsecond to find out."""
    plain = name.isascii() and name.replace("-", "").isalnum()
    return name if plain else quote(name, safe="")


def preview(workspace: str, preview_id: str) -> str:
    return f"{_prefix(workspace)}preview:{_encoded(preview_id)}"


def approval(workspace: str, preview_id: str) -> str:
    """What became of a preview that needs an approval, and its document until then."""
    return f"{approval_prefix(workspace)}{_encoded(preview_id)}"


def approval_prefix(workspace: str) -> str:
    """The key of an approval without its id, which scripts append."""
    return f"{_prefix(workspace)}approval:"


def pending(workspace: str) -> str:
    """The previews that wait for a decision, sorted by their deadlines."""
    return f"{_prefix(workspace)}pending"


def notices(workspace: str) -> str:
    """The notices of approvals, sorted by when they are due."""
    return f"{_prefix(workspace)}notices"


def notice_attempts(workspace: str) -> str:
    """How often each notice was taken, and which call took it last."""
    return f"{_prefix(workspace)}notice_attempts"


def channel_answer(workspace: str, channel_id: str) -> str:
    """What a channel answered last."""
    return f"{_prefix(workspace)}channel_answer:{_encoded(channel_id)}"


def remembered(workspace: str) -> str:
    """What was approved last, by the kind of the request."""
    return f"{_prefix(workspace)}remembered"


def remembered_times(workspace: str) -> str:
    """The same kinds, sorted by when they were approved."""
    return f"{_prefix(workspace)}remembered_times"


def handshake(step: str, name: str) -> str:
    """A step of connecting an account; what comes back from a provider names no workspace."""
    return f"{_prefix(NOWHERE)}oauth_{step}:{sha256(name.encode()).hexdigest()}"


def access_token(workspace: str, connection_id: str) -> str:
    return f"{_prefix(workspace)}access_token:{_encoded(connection_id)}"


def refreshing(workspace: str, connection_id: str) -> str:
    """Which call refreshes the access token of a connection."""
    return f"{_prefix(workspace)}refreshing:{_encoded(connection_id)}"


def reservation(workspace: str, idempotency_key: str) -> str:
    digest = sha256(idempotency_key.encode()).hexdigest()
    return f"{_prefix(workspace)}reservation:{digest}"


def run(workspace: str, run_id: str) -> str:
    return f"{run_prefix(workspace)}{_encoded(run_id)}"


def run_prefix(workspace: str) -> str:
    """The key of a run without its id, which scripts append."""
    return f"{_prefix(workspace)}run:"


def outbox(workspace: str) -> str:
    """Audit entries that the database does not have yet: the one kind of key that never expires."""
    return f"{_prefix(workspace)}outbox"


def in_flight(workspace: str) -> str:
    """The runs that hold a concurrency slot. Scripts append `:` and a target for those of one."""
    return f"{_prefix(workspace)}in_flight"


@lru_cache(maxsize=1024)
def bucket(workspace: str, verb: str, key_id: str = "") -> str:
    """The quota of a verb: of one API key, or of the workspace."""
    whose = f":{quote(key_id, safe='')}" if key_id else ""
    return f"{_prefix(workspace)}quota:{verb}{whose}"


def changed(workspace: str, awaited: str) -> str:
    """The channel on which the end of a run is published, or the new state of an approval."""
    return f"{changed_prefix(workspace)}{_encoded(awaited)}"


def changed_prefix(workspace: str) -> str:
    """Such a channel without the id, which scripts append."""
    return f"{_prefix(workspace)}changed:"


def changed_id(channel: str) -> tuple[str, str]:
    """The prefix of such a channel, and the id."""
    prefix, _, awaited = channel.rpartition(":")
    return f"{prefix}:", unquote(awaited)
