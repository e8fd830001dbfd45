"""Suspend targets that cannot be connected to, so that Relay floods no network with attempts.

A circuit belongs to one workspace and one target (host and port): no tenant suspends a shared host
for others. It opens after five failures in a row to connect, and closes with the next connection;
an attempt for which Relay itself had no time says nothing about the target.
In between one probe at a time may try, every ten seconds. Circuits live in the memory of a process:
to share them would cost each execute a round trip, and each gateway learns within five attempts.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from gateway.outcomes import Answered, NoResponse, NotSent, Outcome
from gateway.telemetry import metrics

FAILURES = 5
PAUSE = 10.0  # seconds
# Circuits of a process. The oldest goes; it opens again after five more failures.
CIRCUITS = 10_000


class _Circuit(NamedTuple):
    failures: int
    retry_at: float  # monotonic; no attempt before


class Breaker:
    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._circuits: dict[tuple[str, str], _Circuit] = {}
        # Those of the circuits that are open, by workspace: usually none.
        self._open: dict[str, set[str]] = {}

    def suspended(self, workspace: str) -> list[str]:
        """The targets that may not be tried now."""
        return [it for it in self._open.get(workspace, ()) if self.pause(workspace, it) > 0]

    def pause(self, workspace: str, target: str) -> float:
        """In how many seconds the target may be tried; 0 for now."""
        circuit = self._circuits.get((workspace, target))
        if circuit is None or circuit.failures < FAILURES:
            return 0
        return max(0.0, circuit.retry_at - self._clock())

    def admit(self, workspace: str, target: str) -> bool:
        """Whether the target may be tried. Of a suspended one, the first caller after the pause is
        the probe; others have to wait for another pause.
        """
        if self.pause(workspace, target) > 0:
            return False
        circuit = self._circuits.get((workspace, target))
        if circuit and circuit.failures >= FAILURES:
            self._keep(workspace, target, circuit.failures)
        return True

    def record(self, workspace: str, target: str, outcome: Outcome) -> None:
        """Learn from an attempt: whether it could connect."""
        match outcome:
            case NotSent(tried=True):
                before = self._circuits.get((workspace, target))
                failures = before.failures + 1 if before else 1
                self._keep(workspace, target, failures)
                if failures == FAILURES:
                    self._open.setdefault(workspace, set()).add(target)
                    metrics.suspensions.inc()
            case Answered() | NoResponse():
                self._forget(workspace, target)
        metrics.suspended_targets.set(sum(map(len, self._open.values())))

    def _keep(self, workspace: str, target: str, failures: int) -> None:
        if len(self._circuits) >= CIRCUITS and (workspace, target) not in self._circuits:
            self._forget(*next(iter(self._circuits)))
        self._circuits[workspace, target] = _Circuit(failures, self._clock() + PAUSE)

    def _forget(self, workspace: str, target: str) -> None:
        self._circuits.pop((workspace, target), None)
        if target in self._open.get(workspace, ()):
            self._open[workspace].discard(target)
            if not self._open[workspace]:
                del self._open[workspace]
