"""Wait for a run or a decision that another request ends, perhaps in another process."""

import asyncio
import time
from contextlib import suppress
from datetime import timedelta

from gateway.execution.runner import Runner
from stores.redis.reservations import NotApproved, Run
from stores.redis.run_endings import RunEndings
from stores.redis.runs import Runs


class Waiting:
    """Every method raises RedisUnavailable. `until`: on the monotonic clock."""

    def __init__(self, runs: Runs, run_endings: RunEndings, runner: Runner) -> None:
        self._runs = runs
        self._run_endings = run_endings
        self._runner = runner
        self._inbox = runner.approvals.inbox

    async def may_be_approved(self, workspace: str, answer: NotApproved, until: float) -> bool:
        """Wait while the approval is pending; whether it may be approved."""
        left = timedelta(seconds=until - time.monotonic())
        return answer.state == "pending" and await self.for_decision(
            workspace, answer.preview_id, left
        )

    async def for_decision(self, workspace: str, preview_id: str, wait: timedelta) -> bool:
        """Wait for the decision on a held preview; whether it, or its deadline, may be past."""
        if wait <= timedelta():
            return False
        async with self._run_endings.wait_for(workspace, preview_id) as decided:
            found = await self._inbox.look_for(workspace, preview_id)
            if found is None or found.state != "pending":
                return True
            left = timedelta(milliseconds=found.decide_by_ms - found.now_ms)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait, left).total_seconds()):
                    await decided.wait()
                return True
            # The subscription may be deaf.
            found = await self._inbox.look_for(workspace, preview_id)
            return left <= wait or found is None or found.state != "pending"

    async def for_run(self, workspace: str, run: Run, until: float) -> bool:
        """Wait for a run in flight; whether it has ended, or its lease has."""
        left = until - time.monotonic()
        if left <= 0:
            return False
        if task := self._runner.in_flight(run.id):
            done, _ = await asyncio.wait({task}, timeout=left)
            return bool(done)
        async with self._run_endings.wait_for(workspace, run.id) as ended:
            now = await self._runs.inspect(workspace, run.id)
            if not (isinstance(now, Run) and now.in_flight):
                return True
            lease_left = now.lease_left.total_seconds()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, lease_left)):
                    await ended.wait()
                return True
            # The subscription may be deaf, and the lease may have ended.
            now = await self._runs.inspect(workspace, run.id)
            return not (isinstance(now, Run) and now.in_flight)
