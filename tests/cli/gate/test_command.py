"""What `relay gate` takes and shows."""

import json
import re
import time
from datetime import datetime

import httpx2
import pytest

from gateway.cli.gate.judgement import LIGHT
from tests.support.gate_cases import ROWS
from tests.support.gate_command import run, told
from tests.support.prometheus import needs_prometheus

NOWHERE = "http://127.0.0.1:1"


def table(output: str) -> dict[str, list[str]]:
    """The cells of each row, by its first."""
    lines = (line.strip("│").split("│") for line in output.splitlines() if line.startswith("│"))
    return {first.strip(): [cell.strip() for cell in cells] for first, *cells in lines}


@needs_prometheus
def test_a_row_has_threshold_measure_samples_and_verdict(past: str) -> None:
    """Every criterion has a row, and the last line says which time was judged."""
    result = run(past, "--job", "1.21 s", "--baseline-window", "10m")

    rows = table(result.output)
    assert result.exit_code == 1
    assert list(rows) == list(ROWS.values())
    assert rows["error rate"][:2] == ["at most 1 %", "0 %"]
    assert rows["webhook.save, p95"][:2] == ["at most 1.2 s", "1.25 s"]
    assert rows["webhook.save, p95"][3:] == ["FAIL", "3,120 were slower"]
    assert rows["resident memory"] == [
        "under 150 MB",
        "100 MB",
        "60",
        "pass",
        "most: 10.0.0.1:8000",
    ]
    assert rows["minutes of 5xx in a row"][:4] == ["under 3 min", "0 min", "15", "pass"]
    assert "\nfail: job 1.21 s, 900 s until " in result.output
    assert result.output.rstrip().endswith(", baseline: 600 s before that")


@needs_prometheus
def test_too_few_samples_are_reported_with_the_number_needed(past: str) -> None:
    """The row says so, and the gate does not pass."""
    result = run(past, "--job", "59 webhooks")

    assert result.exit_code == 2
    assert table(result.output)["webhook.save, p95"][2:4] == ["59 of 60", "too few samples"]


@needs_prometheus
def test_without_a_baseline_cpu_is_not_judged(past: str) -> None:
    """The row says that there is none."""
    row = table(run(past, "--job", "no baseline").output)["CPU against baseline"]
    assert row[1:4] == ["-", "0 of 300", "too few samples"]
    assert row[4].startswith("no baseline")


@needs_prometheus
def test_machines_get_numbers_in_named_units(past: str) -> None:
    """Threshold and measure as numbers; the window is up to now, by Prometheus's clock."""
    answer = told(past, "--job", "1.01 % of 5xx", "--baseline-window", "10m")

    row = answer["criteria"][1]
    assert (row["threshold"], row["measured"], row["unit"]) == (0.01, 0.0101, "ratio")
    assert (row["samples"], row["minimum"], row["verdict"]) == (10_000, 300, "fail")
    assert (answer["window_seconds"], answer["baseline_seconds"]) == (900, 600)
    assert time.time() - datetime.fromisoformat(answer["until"]).timestamp() < 5


@needs_prometheus
def test_replicas_are_judged_together(past: str) -> None:
    """Their samples add up; a name that reads like markup is shown as it is."""
    rows = table(run(past, "--job", "two replicas").output)

    assert rows["replicas scraped"][:3] == ["all of 2", "2", "2"]
    assert rows["error rate"][2:4] == ["12,000", "pass"]
    assert rows["resident memory"][1:] == ["120 MB", "120", "pass", "most: [/b]"]


@needs_prometheus
def test_a_quantile_above_the_last_bucket_has_no_number(past: str) -> None:
    """Neither for people nor for machines: all that is known is that it is more."""
    assert (
        table(run(past, "--job", "above all buckets").output)["webhook.save, p95"][1] == "above all"
    )
    assert told(past, "--job", "above all buckets")["criteria"][4]["measured"] is None


@needs_prometheus
def test_the_quantile_is_prometheuss_own(past: str) -> None:
    """What is shown for p99 is what histogram_quantile() gives."""
    endpoint = "|".join(LIGHT).replace("{", "[{]").replace("}", "[}]")
    chosen = f'http_request_duration_seconds_bucket{{job="51 ms",endpoint=~"{endpoint}"}}[15m]'
    query = f"histogram_quantile(0.99, sum by (le) (increase({chosen})))"
    answer = httpx2.get(f"{past}/api/v1/query", params={"query": query}, trust_env=False)

    row = told(past, "--job", "51 ms")["criteria"][3]
    assert row["measured"] == pytest.approx(float(answer.json()["data"]["result"][0]["value"][1]))
    assert 0.05 < row["measured"] < 0.1


@needs_prometheus
def test_a_short_window_cannot_tell_three_minutes_in_a_row(past: str) -> None:
    """A criterion that could not have failed is not a pass."""
    verdicts = {
        window: told(past, "--job", "healthy", "--window", window)["criteria"][2]["verdict"]
        for window in ("2m59s", "3m")
    }
    assert verdicts == {"2m59s": "too few samples", "3m": "pass"}


@needs_prometheus
@pytest.mark.parametrize("job", ["relay", "", 'a"} or {job="healthy', "gibt es nicht: ☃"])
def test_a_job_that_is_not_there_is_not_a_pass(past: str, job: str) -> None:
    """Exit status 2, and the jobs that are there; a quote in a name is a part of the name."""
    result = run(past, "--job", job)

    assert result.exit_code == 2
    assert "no scrape of the job" in result.stderr
    assert '"1 % of 5xx"' in result.stderr


def test_a_prometheus_that_is_away_is_not_a_pass() -> None:
    """Exit status 2 with one sentence; machines find it in the answer."""
    result = run("http://relay:hunter2@127.0.0.1:1")
    answer = told(NOWHERE)

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: http://127.0.0.1:1 cannot be reached: ")
    assert "hunter2" not in result.output
    assert (answer["verdict"], answer["exit_status"]) == ("not judged", 2)
    assert answer["error"].startswith(f"{NOWHERE} cannot be reached")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--window", ""), "'' is not a duration"),
        (("--window", "15"), "'15' is not a duration"),
        (("--window", "0s"), "0s is out of range"),
        (("--window", "6h1ms"), "6h1ms is out of range"),
        (("--baseline-window", ""), "'' is not a duration"),
        (("--baseline-window", "15 m"), "'15 m' is not a duration"),
    ],
)
def test_a_duration_that_cannot_be_meant_is_refused(arguments: tuple[str, str], said: str) -> None:
    """Before anything is asked."""
    result = run(NOWHERE, *arguments)

    assert result.exit_code == 2
    assert said in re.sub(r"\s+", " ", result.stderr)
    assert "Usage:" in result.stderr


@pytest.mark.parametrize(
    "url", ["prometheus:9090", "ftp://a", "http://", "http://[::1", "http://u:hunter2@a/?b=c"]
)
def test_a_url_that_cannot_be_meant_is_refused(url: str) -> None:
    """Without repeating it: it may hold a password."""
    result = run(url)

    assert result.exit_code == 2
    assert "http://prometheus:9090" in result.stderr
    assert "hunter2" not in result.output


def test_the_url_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """PROMETHEUS_URL stands in for the option."""
    monkeypatch.setenv("PROMETHEUS_URL", NOWHERE)
    assert json.loads(run(None, "--json").stdout)["error"].startswith(NOWHERE)
