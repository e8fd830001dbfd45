"""Where a trace is not found, one sentence says why; what is known all the same is printed."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.cli.trace import look_up
from gateway.config.settings import Settings
from tests.support.collector import refusing
from tests.support.lookups import GRAFANA, NOBODY, names, rows, run
from tests.support.target import Answer, Target, hang, listening, status
from tests.support.tempo import StandIn, exported, made, storing

CANARY = "hunter2"
LINK = f"https://grafana.example/{1:032x}"
TEMPLATE = "https://t.example/{trace_id}/{span_id}/{request_id}"


def base(target: Target) -> str:
    return target.url.removesuffix("/hook")


def known(run_id: str = "r-1", link: str | None = LINK) -> Answer:
    """What a gateway answers that knows the run."""
    return status(200, json.dumps({"run_id": run_id, "trace_link": link}).encode())


@pytest.fixture
async def other() -> AsyncIterator[Target]:
    """A second target: one stands in for the gateway, one for Tempo."""
    async with listening() as opened:
        yield opened


@pytest.fixture
async def tempo() -> AsyncIterator[StandIn]:
    """It holds trace 2, of the run r-1 in the request q-1, inside of a trusted caller's span."""
    said = {"relay.request_id": "q-1", "relay.run_id": "r-1", "http.route": "/actions/execute"}
    stored = exported(
        made("caller", 1, trace_id=2),
        made("POST /actions/execute", 2, trace_id=2, parent=1, start_ms=1, attributes=said),
    )
    async with storing(lambda: stored) as opened:
        yield opened


IDS = [
    ("a", True),
    ("a" * 64, True),
    ("A-Za-z.0_9", True),
    ("..", True),
    ("a" * 65, False),
    ("", False),
    ("a b", False),
    ("a\n", False),
    ("a/b", False),
    ("a\\", False),
    ("a`b", False),
    ("é", False),
    ('a" || span.x = "y', False),
    ('a" } || { true } || { span.x = "', False),
]


async def test_an_id_cannot_change_the_query(target: Target, subtests: pytest.Subtests) -> None:
    """What is none is a usage error, and nobody is asked anything."""
    target.answer = status(404)
    for asked, good in IDS:
        with subtests.test(asked):
            target.deliveries.clear()
            result = await run(asked, "--url", base(target), TEMPO_URL=base(target))
            assert result.exit_code == (1 if good else 2)
            assert ("an id has 1 to 64 letters" in result.stderr) is not good
            assert bool(target.deliveries) is good


async def test_what_nobody_knows_is_not_found(tempo: StandIn) -> None:
    """The sentence says what a search cannot see yet, or ever."""
    result = await run("nobody", TEMPO_URL=tempo.url, GRAFANA_URL=GRAFANA)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"Error: Tempo at {tempo.url} has no trace of nobody. A search finds a trace about 30 s "
        "after its end, within a week, and never one that was not sampled.\n"
    )


async def test_a_known_link_survives_a_tempo_without_the_trace(target: Target) -> None:
    """It is what was asked for in part; the exit status is about the whole."""
    target.answer = known("r-9")
    async with storing(lambda: b"") as tempo:
        result = await run("r-9", "--url", base(target), TEMPO_URL=tempo.url)
    assert (result.exit_code, result.stdout) == (1, f"{LINK}\n")
    assert "has no trace of r-9" in result.stderr
    assert len(tempo.asked("/api/traces/")) == len(tempo.asked("/api/search")) == 1


@pytest.mark.parametrize("arguments", [[], ["--json"]])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status(500, b"no"), "answered 500: no."),
        (status(302, b"", "Location: http://elsewhere"), "redirects"),
        (status(401), "answered 401"),
        (status(200, b"<html>"), "not protobuf"),
    ],
)
async def test_a_tempo_that_fails_is_one_sentence(
    target: Target, other: Target, answer: Answer, said: str, arguments: list[str]
) -> None:
    """Exit status 1, the gateway's link all the same, and never the password of TEMPO_URL."""
    target.answer, other.answer = known(), answer
    url = base(other).replace("//", f"//me:{CANARY}@")
    result = await run("r-1", "--url", base(target), *arguments, TEMPO_URL=url)

    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert LINK in result.stdout
    assert CANARY not in result.output
    assert len(other.deliveries) == 1


async def test_a_tempo_that_is_away_is_one_sentence() -> None:
    """As is a TEMPO_URL that is no URL."""
    away = (await refusing()).removesuffix("/v1/traces")
    none = "http://127.0.0.1:99999"
    said = {away: "cannot be reached", none: "TEMPO_URL must be like http://tempo:3200."}
    for url, sentence in said.items():
        result = await run("r-1", TEMPO_URL=url)
        assert (result.exit_code, result.stdout) == (1, "")
        assert sentence in result.stderr
        assert result.stderr.count("\n") == 1


NO_LINKS = [
    status(404, b'{"code": "run_not_found"}'),
    status(404, json.dumps({"run_id": "r-1", "trace_link": LINK}).encode()),
    status(500),
    status(302, b"", "Location: /elsewhere"),
    status(200, b"<html>"),
    status(200, b"\xff"),
    status(200, b'{"run_id": "r-1", "trace_link": 7}'),
    known("r-2"),
    known(link=None),
    known(link="javascript:alert()"),
    known(link=f"{LINK}\x1b[2J"),
    known(link=f"{LINK} and more"),
    hang,
]


@pytest.mark.parametrize("answer", NO_LINKS)
async def test_a_gateway_without_a_usable_link_is_no_error(
    target: Target, tempo: StandIn, answer: Answer
) -> None:
    """Whatever it says, or something else that listens there: Tempo is asked."""
    target.answer = answer
    found = await look_up(
        "r-1",
        gateway=base(target),
        settings=Settings(tempo_url=tempo.url, trace_link_template=TEMPLATE),
        patience=timedelta(seconds=0.5 if answer is hang else 30),
    )
    assert len(target.deliveries) == 1
    assert [trace.trace_id for trace in found.traces] == [f"{2:032x}"]
    assert found.link == f"https://t.example/{2:032x}/{2:016x}/q-1"
    assert found.problem is None


@pytest.mark.parametrize("url", [NOBODY, "no URL", "http://127.0.0.1:65536", "ftp://127.0.0.1"])
async def test_a_gateway_that_is_away_is_no_error(tempo: StandIn, url: str) -> None:
    """Nor is a URL that cannot be one: its run may have been answered by another."""
    result = await run("r-1", "--url", url, TEMPO_URL=tempo.url)
    assert result.exit_code == 0
    assert names(rows(result)) == [(0, "caller"), (1, "POST /actions/execute")]


async def test_the_gateways_link_is_what_counts(target: Target, tempo: StandIn) -> None:
    """A negative control: a usable one is printed as it is, and its trace alone is read."""
    link = f"https://g.example/?panes=%22{2:032x}%22"
    target.answer = known(link=link)
    env = {"TEMPO_URL": tempo.url, "TRACE_LINK_TEMPLATE": TEMPLATE}
    result = await run("r-1", "--url", base(target), **env)
    assert result.stdout.splitlines()[-1] == link
    assert [request.url.path for request in tempo.requests] == [f"/api/traces/{2:032x}"]


async def test_what_spans_say_is_escaped_in_a_link() -> None:
    """A request id in Tempo is whatever somebody wrote there."""
    said = {"relay.run_id": "r-1", "http.route": "/actions/execute", "relay.request_id": "\x1b[2J/"}
    stored = exported(made("server", 3, attributes=said))
    async with storing(lambda: stored) as tempo:
        result = await run("r-1", TEMPO_URL=tempo.url, TRACE_LINK_TEMPLATE=TEMPLATE)
    assert result.stdout.splitlines()[-1].endswith(f"/{3:016x}/%1B%5B2J%2F")


async def test_a_trace_that_is_gone_once_it_is_read_is_not_shown() -> None:
    """Between the search and the reading its time may be over."""
    left = [exported(made("server", 1, attributes={"relay.request_id": "q-1"}))]
    async with storing(lambda: left.pop() if left else b"") as tempo:
        result = await run("q-1", TEMPO_URL=tempo.url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "has no trace of q-1" in result.stderr


@pytest.mark.parametrize(("count", "noted"), [(19, False), (20, True), (21, True)])
async def test_more_than_twenty_are_not_all_shown(count: int, noted: bool) -> None:
    """A request id that a client uses for everything; that there may be more is said."""
    said = {"relay.request_id": "q-1"}
    stored = exported(*(made("s", 1, trace_id=n + 1, attributes=said) for n in range(count)))
    async with storing(lambda: stored) as tempo:
        result = await run("q-1", TEMPO_URL=tempo.url, TRACE_LINK_TEMPLATE=TEMPLATE)
    assert result.exit_code == 0
    assert len(rows(result)) == min(count, 20)
    assert ("A search gives 20 traces at most; there may be others.\n" in result.stderr) is noted


async def test_without_tempo_grafana_gets_a_link_that_searches() -> None:
    """It parses back to the pane that Grafana expects; braces and quotes are percent-encoded."""
    result = await run("q-1", GRAFANA_URL=f"{GRAFANA}/", TEMPO_DATASOURCE_UID="other")

    assert result.exit_code == 0
    assert "TEMPO_URL is not set" in result.stderr
    assert "in the last 6 hours" in result.stderr
    link = result.stdout.removesuffix("\n")
    assert not set(link) & set('{}" <>')
    address, asked = urlsplit(link), parse_qs(urlsplit(link).query)
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{GRAFANA}/explore"
    [pane] = json.loads(asked["panes"][0]).values()
    assert pane["range"] == {"from": "now-6h", "to": "now"}
    [query] = pane["queries"]
    assert query["datasource"] == {"type": "tempo", "uid": "other"}
    assert pane["datasource"] == "other"
    assert query["query"] == (
        '{ span.relay.request_id = "q-1" || '
        '(span.relay.run_id = "q-1" && span.http.route = "/actions/execute") }'
    )


async def test_where_nothing_is_set_it_says_what_to_set() -> None:
    """A gateway that does not know the id is not enough."""
    result = await run("q-1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: TEMPO_URL is not set")
    assert "GRAFANA_URL" in result.stderr
