"""Calls of Lua scripts share pipelines, load forgotten scripts, and fail in bounded time."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

import stores
from stores.redis import names
from stores.redis.client import Store, open_store
from stores.redis.previews import Live, NewPreview, NoPreview, Previews
from stores.redis.reservations import Reservation, Reserved
from stores.redis.runs import Runs
from stores.redis.scripts import SOURCES, RedisUnavailable, Scripts
from tests.support.clocks import timed
from tests.support.valkey import Valkey

LEASE = timedelta(seconds=20)


@pytest.fixture
async def own_store(own_valkey: Valkey, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(own_valkey.url, tmp_path) as opened:
        yield opened


async def find(scripts: Scripts, preview_id: str) -> list[bytes]:
    return await scripts.call("find", [names.preview("w", preview_id)])


def reads(valkey: Valkey) -> int:
    """How often the server has read from a socket; it reads a pipeline at once."""
    with valkey.client() as client:
        return int(client.info("stats")["total_reads_processed"])


@pytest.fixture
def reads_of_info(valkey: Valkey) -> int:
    """How many reads one call of `reads` takes itself."""
    before = reads(valkey)
    return reads(valkey) - before


async def test_concurrent_calls_share_one_pipeline(
    store: Store, valkey: Valkey, reads_of_info: int
) -> None:
    """Thirty calls of one turn reach the server in one read. Thirty turns take thirty."""
    await find(store.scripts, "warm")

    before = reads(valkey)
    await asyncio.gather(*(find(store.scripts, str(n)) for n in range(30)))
    assert reads(valkey) - before - reads_of_info == 1

    before = reads(valkey)
    for n in range(30):
        await find(store.scripts, str(n))
    assert reads(valkey) - before - reads_of_info == 30


async def test_every_call_of_a_pipeline_gets_its_own_answer(scripts: Scripts) -> None:
    """Replies go to their callers in the order of the calls, whatever the scripts are."""
    previews, runs = Previews(scripts), Runs(scripts)
    for n in range(40):
        await previews.save("w", NewPreview(str(n), str(n).encode(), b"{}"))

    answers = await asyncio.gather(
        *(
            runs.reserve(Reservation("w", f"order-{n}", str(n), f"run-{n}"), lease=LEASE)
            if n % 2
            else previews.find("w", str(n))
            for n in range(40)
        )
    )
    for n, answer in enumerate(answers):
        assert isinstance(answer, Reserved if n % 2 else Live)
        assert answer[0] == str(n).encode()


async def test_the_first_calls_may_come_in_several_turns(store: Store) -> None:
    """Calls that come while the scripts are loaded are answered too."""
    calls = [asyncio.create_task(find(store.scripts, "none"))]
    while not calls[0].done() and len(calls) < 100:
        calls.append(asyncio.create_task(find(store.scripts, "none")))
        inspect = store.scripts.call("inspect", [names.run("w", "none")])
        calls.append(asyncio.create_task(inspect))
        await asyncio.sleep(0)
    _, unanswered = await asyncio.wait(calls, timeout=3)
    assert not unanswered
    assert {call.result()[0] for call in calls} == {b"no_preview", b"no_run"}


async def test_forgotten_scripts_are_loaded_again(store: Store) -> None:
    """After SCRIPT FLUSH, or on a new server, calls succeed."""
    scripts = store.scripts
    await Previews(scripts).save("w", NewPreview("p-1", b"doc", b"{}"))
    await scripts._client.script_flush()

    answers = await asyncio.gather(*(find(scripts, "p-1") for _ in range(10)))
    assert {tuple(answer[:2]) for answer in answers} == {(b"live", b"doc")}


async def test_a_restarted_server_is_used_at_once(own_store: Store, own_valkey: Valkey) -> None:
    """A restart between two calls, which forgets the scripts, costs no error."""
    previews = Previews(own_store.scripts)
    await previews.save("w", NewPreview("p-1", b"doc", b"{}"))
    own_valkey.stop()
    own_valkey.start()
    assert isinstance(await previews.find("w", "p-1"), Live)


@pytest.mark.parametrize("known", [True, False], ids=["loaded", "not loaded"])
@pytest.mark.parametrize("away", ["stop", "pause"])
async def test_a_server_that_is_away_is_given_up_in_time(
    own_store: Store, own_valkey: Valkey, away: str, known: bool
) -> None:
    """All calls of a turn raise RedisUnavailable in under 2 s. Once the server is back, calls
    succeed.
    """
    if known:
        await find(own_store.scripts, "none")
    getattr(own_valkey, away)()
    calls = (find(own_store.scripts, "none") for _ in range(20))
    answers, seconds = await timed(asyncio.gather(*calls, return_exceptions=True))
    assert seconds < 2
    assert {type(answer) for answer in answers} == {RedisUnavailable}, answers

    own_valkey.resume() if away == "pause" else own_valkey.start()
    assert await find(own_store.scripts, "none") == [b"no_preview"]


async def test_the_scripts_are_those_of_the_folder(store: Store) -> None:
    """Each is loaded as it is written, first line included; no other can be called."""
    of_runs = {"save", "find", "reserve", "inspect", "settle", "release"}
    of_approvals = {"hold", "decide", "withdraw", "approval", "pending"}
    of_approvals |= {"due", "spread", "postpone", "remember", "recall", "answered", "answers"}
    of_oauth = {"oauth_keep", "oauth_take", "token_begin", "token_end", "token_drop"}
    others = {"spend", "usage", "record", "collect", "probe"}
    assert set(SOURCES) == of_runs | of_approvals | of_oauth | others
    with pytest.raises(KeyError):
        await store.scripts.call("other", [])


def test_every_include_is_inserted_where_it_is_named() -> None:
    """A script has the includes that it names, once and whole, and every include is used."""
    folder = Path(stores.__file__).parent / "redis" / "lua"
    parts = {path.stem: path.read_text() for path in sorted((folder / "include").glob("*.lua"))}
    named: set[str] = set()
    for name, source in SOURCES.items():
        written = (folder / f"{name}.lua").read_text()
        line = re.search(r"^-- include (.+)\n", written, re.MULTILINE)
        wanted = line[1].split(", ") if line else []
        assert [part for part, text in parts.items() if source.count(text) == 1] == sorted(wanted)
        included = sum(len(parts[part]) for part in wanted)
        assert len(source) == len(written) + included - (len(line[0]) if line else 0)
        named.update(wanted)
    assert named == set(parts)


async def test_an_error_reaches_its_own_caller_only(store: Store, valkey: Valkey) -> None:
    """A refused call raises; other calls of the pipeline are answered."""
    with valkey.client() as client:
        client.set(names.preview("w", "wrong"), "not a hash", ex=60)
    before, wrong, after = await asyncio.gather(
        find(store.scripts, "none"),
        find(store.scripts, "wrong"),
        find(store.scripts, "none"),
        return_exceptions=True,
    )
    assert before == after == [b"no_preview"]
    assert isinstance(wrong, RedisUnavailable)
    assert "WRONGTYPE" in str(wrong)


async def test_a_call_that_cannot_be_sent_blocks_no_other(store: Store) -> None:
    """Text that is not Unicode fails its own call; the others of its turn succeed."""
    async with asyncio.timeout(5):
        answers = await asyncio.gather(
            find(store.scripts, "none"),
            find(store.scripts, "none"),
            store.scripts.call("save", [names.preview("w", "p-1")], "\ud800", "{}", LEASE),
            return_exceptions=True,
        )
    assert isinstance(answers[2], RedisUnavailable)
    assert answers[0] == answers[1] == [b"no_preview"]


async def test_a_cancelled_caller_breaks_no_other(store: Store) -> None:
    """300 calls are cancelled, before and after they are sent: every other caller gets its own
    answer.
    """
    previews = Previews(store.scripts)
    for n in range(300):
        await previews.save("w", NewPreview(str(n), str(n).encode(), b"{}"))

    neighbours, leavers = [], []
    for n in range(300):
        leavers.append(asyncio.create_task(previews.find("w", str(n))))
        neighbours.append(asyncio.create_task(previews.find("w", str(n))))
        for _ in range(n % 4):
            await asyncio.sleep(0)
        leavers[-1].cancel()
    found = await asyncio.gather(*neighbours)
    await asyncio.wait(leavers)

    assert all(leaver.cancelled() for leaver in leavers)
    assert [it.doc for it in found if isinstance(it, Live)] == [str(n).encode() for n in range(300)]
    assert isinstance(await previews.find("w", "none"), NoPreview)
