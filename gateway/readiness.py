"""Whether this gateway may take traffic, and why not."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from stores.redis.client import Check, Store

# How often the store's configuration is looked at without being asked.
WATCH_SECONDS = 10.0
# Probes of several load balancers share one look.
FRESH_SECONDS = 1.0

SERVING = Check("process", "ok", "this gateway serves")
STOPPING = Check("process", "failed", "this gateway is stopping")

log = logging.getLogger("relay.readiness")


class Readiness:
    """`strict`: what correctness rests on must hold; otherwise it only warns."""

    def __init__(
        self,
        store: Store,
        *,
        strict: bool,
        looks: Sequence[Callable[[], Check]] = (),
        observer: Callable[[Check], None] = lambda check: None,
    ) -> None:
        """`looks`: checks beside the store's, which wait for nothing. `observer`: told of each
        check whenever it was looked at.
        """
        self._store = store
        self._strict = strict
        self._looks = looks
        self._observer = observer
        self._looked_at = float("-inf")
        self._checks: list[Check] = []
        self._looking = asyncio.Lock()
        self.stopping = False

    async def checks(self) -> list[Check]:
        async with self._looking:
            if time.monotonic() - self._looked_at > FRESH_SECONDS:
                await self._look()
        return [self._process(), *self._checks]

    def _process(self) -> Check:
        return STOPPING if self.stopping else SERVING

    async def watch(self) -> None:
        """Look every 10 s, and log each verdict that has changed."""
        while True:
            await self.checks()
            await asyncio.sleep(WATCH_SECONDS)

    async def _look(self) -> None:
        before = set(self._checks)
        checks = await self._store.check(strict=self._strict)
        self._checks = [*checks, *(look() for look in self._looks)]
        self._looked_at = time.monotonic()
        for check in (self._process(), *self._checks):
            self._observer(check)
        for check in set(self._checks) - before:
            if before or check.verdict != "ok":
                level = logging.INFO if check.verdict == "ok" else logging.WARNING
                fields = {"check": check.name, "verdict": check.verdict, "detail": check.detail}
                log.log(level, "ready.check", extra={"fields": fields})
