"""What the tables show."""

import pytest

from tests.bench.measuring import Sample
from tests.bench.plan import Cell
from tests.bench.report import Fact, Measured, added, as_json, lines, show
from tests.bench.session import Samples

EXECUTE, DELAY = Cell("execute", 32), Cell("delay")


def sample(
    rate: float = 100.0, cpu_us: float = 500.0, p50: float = 1.0, p99: float = 2.0
) -> Sample:
    return Sample(rate, p50, p99, cpu_us, 0.1, 2.9)


SAMPLES: Samples = {
    (EXECUTE, "relay"): [sample(1000, 500), sample(900, 600)],
    (EXECUTE, "floor"): [sample(2000, 250), sample(1500, 300)],
    (DELAY, "relay"): [sample(p50=203.0, p99=208.0)],
    (DELAY, "direct"): [sample(p50=200.5, p99=201.0)],
}


def test_a_subject_is_held_against_its_reference_round_by_round() -> None:
    [relay] = [line for line in lines(SAMPLES) if line[:3] == ("execute", "32", "relay")]
    assert relay[3] == "950 (900-1,000)"
    assert relay[-2:] == ("0.55 (0.50-0.60)", "0.50")


def test_the_reference_is_held_against_nothing() -> None:
    [floor] = [line for line in lines(SAMPLES) if line[2] == "floor"]
    assert floor[-2:] == ("", "")


def test_what_is_added_is_counted_from_the_target_itself() -> None:
    assert [(fact.name.rpartition(" ")[2], fact.value) for fact in added(SAMPLES)] == [
        ("p50", 2.5),
        ("p99", 7.5),
    ]


def test_markdown_has_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    show(Measured(SAMPLES, [Fact("resident, idle", 57.26, "MB")]), markdown=True)
    printed = capsys.readouterr().out
    assert printed.count("| execute |") == 2
    assert "| resident, idle | 57.3 MB |" in printed
    assert len({line.count("|") for line in printed.split("\n\n")[0].splitlines()}) == 1


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (Fact("", 1234.56, "MB"), "1,234.6 MB"),
        (Fact("", 40.0, ""), "40.0"),
        (Fact("", 1.4, "times"), "1.40 times"),
        (Fact("", 1.0, "yes or no"), "yes"),
        (Fact("", 0.0, "yes or no"), "no"),
    ],
)
def test_a_figure_has_its_unit(fact: Fact, text: str) -> None:
    assert fact.text() == text


def test_json_has_every_sample_and_what_it_is_of() -> None:
    written = as_json(Measured(SAMPLES, []), {"commit": "abc"})
    assert written["commit"] == "abc"
    assert len(written["samples"]) == 6
    assert written["samples"][1]["round"] == 1
