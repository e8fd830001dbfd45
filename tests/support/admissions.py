"""An admission around a key cache, with the limits of the default settings."""

from collections.abc import Callable, Sequence
from typing import Any

from gateway.access.admission import Admission
from gateway.access.key_cache import KeyCache
from gateway.access.limits import LimitSettings

LIMITS = LimitSettings(enabled=True, previews=200, executes=100, runs_at_once=100)


def admission(
    key_cache: KeyCache, peppers: Callable[[], Sequence[bytes]] = list, **given: Any
) -> Admission:
    return Admission(key_cache, peppers, **{"limits": LIMITS, "keys_required": False, **given})
