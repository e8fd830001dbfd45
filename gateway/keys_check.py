"""How the keys stand, for /ready: who may read that is anybody, so no names and no hosts."""

from collections.abc import Callable, Sequence

from gateway.access.admission import Admission
from gateway.access.api_keys import pepper_id
from gateway.access.key_cache import Roster
from gateway.config.variables import SettingsError
from stores.redis.client import Check, Verdict

Peppers = Callable[[], Sequence[bytes]]


def keys_check(admission: Admission, roster: Roster, ours: Peppers) -> Check:
    """`ours`: the peppers of this gateway."""
    return Check("keys", *_stands(admission, roster, ours))


def _stands(admission: Admission, roster: Roster, ours: Peppers) -> tuple[Verdict, str]:
    if roster.wakefulness.overslept:
        return "failed", "this gateway was stopped for a while and has not read its keys since"
    if not roster.ready:
        # What the database said is in the log.
        outdated = roster.state() == "outdated"
        return "failed", roster.detail if outdated else "the database does not answer"
    if admission.open:
        return "ok", "no key was made: whoever asks may do everything"
    if not roster.any_made:
        return "failed", "no key was made: run `relay keys create --role admin --name me`"
    verdict, detail = _peppered(roster, ours)
    if verdict == "failed" or roster.state() == "ok":
        return verdict, detail
    if roster.state() == "stale":
        return "warning", "the database does not answer: keys are as last known"
    return "warning", roster.detail


def _peppered(roster: Roster, ours: Peppers) -> tuple[Verdict, str]:
    """A gateway with another pepper would refuse everybody; of keys of before nobody knows it."""
    try:
        lacking = {*roster.peppers} - {None, *map(pepper_id, ours())}
    except SettingsError:  # whose message names files
        return "failed", "the pepper cannot be read"
    if lacking and lacking == {*roster.peppers}:
        return "failed", "no key was made with the pepper of this gateway (RELAY_KEY_PEPPER)"
    if lacking:
        return "ok", "keys that were made with another pepper do not get in: see peppered_with"
    return "ok", roster.detail
