"""/ready: whether this gateway should take traffic, and why not. Anyone may read it: checks name
no hosts, workspaces or keys.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from gateway.access.admission import Admission
from gateway.access.api_keys import pepper_id
from gateway.access.key_cache import KeyCache
from gateway.access.principal import DEFAULT_WORKSPACE
from gateway.config.variables import SettingsError
from gateway.telemetry.background import repeat
from stores.redis.client import Store
from stores.redis.server.health import Check, CheckStatus

# How often the checks run without a probe.
WATCH_PACE = timedelta(seconds=10)
# Probes of several load balancers share one run of the checks.
FRESH_SECONDS = 1.0

SERVING = Check("process", "ok", "this gateway serves")
STOPPING = Check("process", "failed", "this gateway is stopping")

Peppers = Callable[[], Sequence[bytes]]

log = logging.getLogger("relay.readiness")


class Readiness:
    def __init__(
        self,
        store: Store,
        *,
        strict: bool,
        checks: Sequence[Callable[[], Check]] = (),
        observer: Callable[[Check], None] = lambda check: None,
    ) -> None:
        """`strict`: fail where development only warns. `checks`: beside the store's; they do no
        I/O. `observer` gets every result.
        """
        self._store = store
        self._strict = strict
        self._extra = checks
        self._observer = observer
        self._checked_at = float("-inf")
        self._checks: list[Check] = []
        self._checking = asyncio.Lock()
        self.stopping = False

    async def checks(self) -> list[Check]:
        async with self._checking:
            if time.monotonic() - self._checked_at > FRESH_SECONDS:
                await self._run()
        return [self._process(), *self._checks]

    def _process(self) -> Check:
        return STOPPING if self.stopping else SERVING

    async def watch(self) -> None:
        """Check every 10 s, and log each result that has changed."""
        await self.checks()
        await repeat(self.checks, lambda: WATCH_PACE)

    async def _run(self) -> None:
        before = set(self._checks)
        store = await self._store.check(strict=self._strict)
        self._checks = [*store, *(check() for check in self._extra)]
        self._checked_at = time.monotonic()
        for check in (self._process(), *self._checks):
            self._observer(check)
        for check in set(self._checks) - before:
            if before or check.verdict != "ok":
                level = logging.INFO if check.verdict == "ok" else logging.WARNING
                fields = {"check": check.name, "verdict": check.verdict, "detail": check.detail}
                log.log(level, "ready.check", extra={"fields": fields})


def keys_check(
    admission: Admission, key_cache: KeyCache, peppers: Peppers, *, policy: bool = False
) -> Check:
    """`peppers`: this gateway's. `policy`: whether the operator has one. While no key is needed
    every caller is in the default workspace, so that another one's policy holds nothing.
    """
    if admission.open and (policy or key_cache.policy(DEFAULT_WORKSPACE)):
        return Check("keys", "warning", "a policy without keys: nothing that it holds is decided")
    return Check("keys", *_keys_status(admission, key_cache, peppers))


def _keys_status(
    admission: Admission, key_cache: KeyCache, peppers: Peppers
) -> tuple[CheckStatus, str]:
    if key_cache.suspension.was_suspended:
        return "failed", "this process was suspended and has not read its keys since"
    if not key_cache.ready:
        # What the database said is in the log.
        outdated = key_cache.state() == "outdated"
        return "failed", key_cache.detail if outdated else "the database does not answer"
    if admission.open:
        return "ok", "no key was created: requests need no key"
    if not key_cache.any_made and admission.assertions:
        return "ok", "no key was created: people are signed in by the proxy"
    if not key_cache.any_made:
        return "failed", "no key was created: run `relay keys create --role admin --name me`"
    verdict, detail = _peppers_status(key_cache, peppers)
    if verdict == "failed" or key_cache.state() == "read":
        return verdict, detail
    if key_cache.state() == "stale":
        return "warning", "the database does not answer: keys are as last read"
    return "warning", key_cache.detail


def _peppers_status(key_cache: KeyCache, peppers: Peppers) -> tuple[CheckStatus, str]:
    """A gateway with another pepper would refuse every key. Old keys do not name their pepper."""
    try:
        missing = {*key_cache.peppers} - {None, *map(pepper_id, peppers())}
    except SettingsError:  # its message names files
        return "failed", "the pepper cannot be read"
    if missing and missing == {*key_cache.peppers}:
        return "failed", "no key was created with the pepper of this gateway (RELAY_KEY_PEPPER)"
    if missing:
        return "ok", "some keys were hashed with an unknown pepper and cannot authenticate"
    return "ok", key_cache.detail
