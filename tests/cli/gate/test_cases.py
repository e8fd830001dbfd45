"""`relay gate` judges what a real Prometheus holds, on both sides of every threshold."""

import pytest

from tests.support.gate_cases import CASES, ROWS, Case
from tests.support.gate_command import told
from tests.support.prometheus import needs_prometheus

pytestmark = needs_prometheus


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_job_is_judged_by(past: str, case: Case) -> None:
    """Exactly the named rows do not pass; 1 for a failure, else 2 for what cannot be judged."""
    answer = told(past, "--job", case.name)

    expected = {ROWS[row]: verdict for row, verdict in case.rows.items()}
    rows = {row["criterion"]: row["verdict"] for row in answer["criteria"]}
    assert list(rows) == list(ROWS.values())
    assert {name: verdict for name, verdict in rows.items() if verdict != "pass"} == expected
    status = 1 if "fail" in expected.values() else 2 if expected else 0
    assert answer["exit_status"] == status
    assert answer["verdict"] == ("pass", "fail", "not judged")[status]
