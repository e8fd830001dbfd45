"""What a sweep finds becomes gauges, counts and the list of workspaces with notices to send."""

from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from gateway.approvals.watch import Watch
from gateway.telemetry import metrics
from stores.redis.outbox import ExpiredApproval, Waiting

QUIET = Waiting((), (), 0, timedelta())


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_workspaces_with_notices_are_due_until_a_sweep_finds_none() -> None:
    watch = Watch()
    watch.see("a", QUIET._replace(notices=2))
    watch.see("b", QUIET)
    assert list(watch.due) == ["a"]
    watch.see("a", QUIET)
    assert list(watch.due) == []


def test_pending_approvals_are_added_up_and_the_most_urgent_counts() -> None:
    """A workspace whose last approval has ended counts no more."""
    watch = Watch()
    watch.see("a", QUIET._replace(pending=2, used=0.25))
    watch.see("b", QUIET._replace(pending=1, used=0.75))
    assert (value("relay_approvals_pending"), value("relay_approvals_used_ratio")) == (3, 0.75)
    watch.see("b", QUIET)
    assert (value("relay_approvals_pending"), value("relay_approvals_used_ratio")) == (2, 0.25)
    watch.see("a", QUIET)
    assert (value("relay_approvals_pending"), value("relay_approvals_used_ratio")) == (0, 0)


def test_an_expired_approval_is_counted_with_its_time() -> None:
    labels = {"action": "a.b", "state": "expired"}
    watch = Watch()
    expired = ExpiredApproval("a.b", timedelta(seconds=30), ["slow", "slower"])
    watch.see("a", QUIET._replace(expired=[expired]))
    assert value("relay_approvals_total", **labels) == 1
    assert value("relay_approval_seconds_sum", **labels) == 30
    for rule in expired.rules:
        assert value("relay_approval_rules_total", rule=rule, state="expired") == 1


def test_rules_with_any_names_make_few_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace cannot fill the memory of a gateway with the names of its rules."""
    monkeypatch.setattr(metrics, "rule_label", metrics.FirstNames(2))
    for rule in ("first", "second", "third", "first", "fourth"):
        metrics.approval_ended("c.d", "denied", timedelta(), [rule])
    counts = {"first": 2, "second": 1, "third": 0, "fourth": 0, "(others)": 2}
    for rule, count in counts.items():
        assert value("relay_approval_rules_total", rule=rule, state="denied") == count
