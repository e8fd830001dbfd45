"""Tests of which coverage is not traced.

What measures time or memory would be falsified, and what tries thousands of examples takes minutes.
"""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

UNTRACED = (
    *("approvals/test_policy_layers.py", "approvals/test_policy_properties.py", "bench/"),
    *("egress/test_addresses.py", "egress/test_hostile_targets.py", "http/test_hostile_headers.py"),
    *("faults/test_hanging_targets.py", "http/test_turns.py", "test_serving_memory.py"),
    "actions/test_mail_message.py::test_three_thousand",
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """pytest-cov's own `no_cover` leaves out the coverage that each process starts by itself."""
    path = item.path.relative_to(Path(__file__).parents[1])
    if not f"{path}::{item.name}".startswith(UNTRACED):
        return (yield)
    tracers = sys.gettrace(), threading.gettrace()
    started_by = {it: os.environ.pop(it) for it in [*os.environ] if it.startswith("COVERAGE_")}
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracers[0])
        threading.settrace(tracers[1])
        os.environ |= started_by
