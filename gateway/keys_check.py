"""How the keys stand, for /ready: who may read that is anybody, so no names and no hosts."""

from collections.abc import Callable, Sequence

from gateway.access.admission import Admission
from gateway.access.api_keys import pepper_id
from gateway.access.key_cache import KeyCache
from gateway.config.variables import SettingsError
from stores.redis.client import Check, CheckStatus

Peppers = Callable[[], Sequence[bytes]]


def keys_check(admission: Admission, key_cache: KeyCache, ours: Peppers) -> Check:
    """`ours`: the peppers of this gateway."""
    return Check("keys", *_stands(admission, key_cache, ours))


def _stands(admission: Admission, key_cache: KeyCache, ours: Peppers) -> tuple[CheckStatus, str]:
    if key_cache.suspension.was_suspended:
        return "failed", "this gateway was stopped for a while and has not read its keys since"
    if not key_cache.ready:
        # What the database said is in the log.
        outdated = key_cache.state() == "outdated"
        return "failed", key_cache.detail if outdated else "the database does not answer"
    if admission.open:
        return "ok", "no key was made: whoever asks may do everything"
    if not key_cache.any_made:
        return "failed", "no key was made: run `relay keys create --role admin --name me`"
    verdict, detail = _peppered(key_cache, ours)
    if verdict == "failed" or key_cache.state() == "ok":
        return verdict, detail
    if key_cache.state() == "stale":
        return "warning", "the database does not answer: keys are as last known"
    return "warning", key_cache.detail


def _peppered(key_cache: KeyCache, ours: Peppers) -> tuple[CheckStatus, str]:
    """A gateway with another pepper would refuse everybody; of keys of before nobody knows it."""
    try:
        lacking = {*key_cache.peppers} - {None, *map(pepper_id, ours())}
    except SettingsError:  # whose message names files
        return "failed", "the pepper cannot be read"
    if lacking and lacking == {*key_cache.peppers}:
        return "failed", "no key was made with the pepper of this gateway (RELAY_KEY_PEPPER)"
    if lacking:
        return "ok", "keys that were made with another pepper do not get in: see pepper_id"
    return "ok", key_cache.detail
