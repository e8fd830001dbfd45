"""What fails between the approval and the send sends nothing that was not approved."""

import asyncio
import socket
from collections import Counter

from tests.support.deciding import code, decide, digest_of
from tests.support.fleet import Site
from tests.support.forks import Forks
from tests.support.gateways import until
from tests.support.office import NO_POLICY, POLICY, Office, at, working
from tests.support.target import Target, listening, reset

STRICTER = POLICY.replace("approvals = 1", "approvals = 2")


async def test_two_clicks_are_one_decision(office: Office, target: Target) -> None:
    """The same answer again, on another gateway; and one entry in the audit."""
    preview_id = await office.held(target.url, "/two")
    clicks = [decide(ann, preview_id) for ann in (office.ann, office.other("ann")) * 3]
    answers = await asyncio.gather(*clicks)
    assert {(it.status_code, it.json()["state"]) for it in answers} == {(200, "pending")}
    assert (await decide(office.bob, preview_id)).json()["state"] == "approved"
    assert (await decide(office.ann, preview_id)).json()["state"] == "approved"
    await office.site.shipped()
    events = Counter(entry.event for entry in await office.site.books())
    assert events["approval.decided"] == 2


async def test_an_approver_who_is_revoked_does_not_count(office: Office, target: Target) -> None:
    """Found at the execute, on every gateway within 5 s; later executes say the same."""
    preview_id = await office.approved(target.url)
    listed = (await office.admin.get("/keys")).json()["keys"]
    [key_id] = [key["id"] for key in listed if key["subject"] == "ann"]
    assert (await office.admin.delete(f"/keys/{key_id}")).status_code == 200

    async def known() -> bool:
        return (await office.other("ann").get("/approvals")).status_code == 401

    await until(known, patience=5)
    answer = await office.other("agent").execute(preview_id, "order-1")
    assert code(answer) == (409, "approval_outdated")
    assert "'one' needs 1 approvals, and 0 count" in answer.json()["detail"]
    assert answer.json()["safe_to_retry"] is False
    again = await office.agent.execute(preview_id, "order-1")
    assert code(again) == (409, "approval_outdated")
    for told in (answer, again):
        assert told.json()["detail"].endswith(". Make a new preview.")
        assert told.headers["Location"] == f"/approvals/{preview_id}"
    assert "It was" not in again.json()["detail"], "no person ended it"
    assert (await office.bob.get(f"/approvals/{preview_id}")).json()["state"] == "outdated"
    assert not target.deliveries
    await office.site.shipped()
    ends = [entry for entry in await office.site.books() if entry.event == "run.ended"]
    assert [(it.status, it.reason) for it in ends] == [("not_sent", "approval_outdated")]
    [run] = (await office.agent.get("/runs")).json()["runs"]
    shown = (await office.agent.get(f"/runs/{run['run_id']}")).json()
    assert (shown["status"], shown["error"]["code"]) == ("not_sent", "approval_outdated")


async def test_a_preview_from_before_the_rule_is_caught(
    each_site: Site, forks: Forks, target: Target
) -> None:
    """One gateway has the rule already: it does not send what the other one let through, and then
    the other one does not either.
    """
    async with working(each_site, forks, NO_POLICY, POLICY) as office:
        free = (await office.agent.preview(at(target.url, "/one"))).json()
        assert free["approval"] is None
        never = (await office.agent.preview(at(target.url, "/never"))).json()
        for preview, reason in ((free, "'one' needs 1"), (never, "'never' denies")):
            answer = await office.other("agent").execute(preview["preview_id"])
            assert code(answer) == (409, "approval_outdated")
            assert reason in answer.json()["detail"]
            assert "Location" not in answer.headers, "there is no approval"
    assert not target.deliveries


async def test_a_stricter_gateway_wants_more(each_site: Site, forks: Forks, target: Target) -> None:
    """What was granted is not enough for it; what is pending stays pending, and needs what it
    needed when it was asked.
    """
    async with working(each_site, forks, POLICY, STRICTER) as office:
        preview_id = await office.approved(target.url)
        answer = await office.other("agent").execute(preview_id, "order-1")
        assert code(answer) == (409, "approval_outdated")
        assert "needs 2 approvals, and 1 count" in answer.json()["detail"]
        again = await office.agent.execute(preview_id, "order-1")
        assert code(again) == (409, "approval_outdated")
        pending = await office.held(target.url)
        early = await office.other("agent").execute(pending, "order-2", wait=0)
        assert (code(early)[1], early.json()["approval"]["needed"]) == ("approval_pending", 1)
        await decide(office.ann, pending)
        enough = await office.agent.execute(pending, "order-2")
        assert enough.json()["status"] == "success"
    assert len(target.deliveries) == 1


async def test_a_looser_gateway_sends_as_granted(
    each_site: Site, forks: Forks, target: Target
) -> None:
    """It neither forgets what the other one asked, nor asks again."""
    async with working(each_site, forks, POLICY, NO_POLICY) as office:
        preview_id = await office.held(target.url)
        early = await office.other("agent").execute(preview_id, "order-1", wait=0)
        assert code(early) == (409, "approval_pending")
        await decide(office.ann, preview_id)
        run = (await office.other("agent").execute(preview_id, "order-1")).json()
        assert (run["status"], run["approval"]["approvers"]) == ("success", ["ann"])


async def test_an_execute_races_its_withdrawal(office: Office, target: Target) -> None:
    """Either the run exists and cannot be given up, or nothing is ever sent."""
    came: Counter[str] = Counter()
    for number in range(30):
        preview_id = await office.approved(target.url)
        racing = [office.agent.execute(preview_id, f"order-{number}")]
        racing.append(office.other("ann").delete(f"/approvals/{preview_id}"))
        if number % 2:
            racing.reverse()
        answers = await asyncio.gather(*racing)
        execute, withdrawal = reversed(answers) if number % 2 else answers
        if execute.status_code == 200:
            assert code(withdrawal) == (409, "preview_already_executed")
            assert withdrawal.json()["run_id"] == execute.json()["run_id"]
        else:
            assert code(execute) == (403, "approval_denied")
            assert withdrawal.json()["state"] == "withdrawn"
        came["sent" if execute.status_code == 200 else "withdrawn"] += 1
    assert len(target.deliveries) == came["sent"]
    assert len(came) == 2, "one of the two always came first: this was no race"


async def test_while_redis_is_away_nothing_is_decided_or_sent(
    each_site: Site, forks: Forks, target: Target
) -> None:
    """503 for every call; afterwards all is as before."""
    async with (
        each_site.redis_line() as redis,
        working(each_site, forks, REDIS_URL=redis.url) as office,
    ):
        pending, approved = await office.held(target.url), await office.approved(target.url)
        digest = await digest_of(office.ann, pending)
        redis.cut()
        for answer in await asyncio.gather(
            decide(office.ann, pending, digest=digest),
            decide(office.other("ann"), pending, "deny", digest=digest, reason="No."),
            office.agent.delete(f"/approvals/{approved}"),
            office.agent.execute(approved, "order-1"),
            office.other("agent").execute(pending, "order-2", wait=0),
            office.agent.preview(at(target.url, "/one")),
            office.ann.get("/approvals"),
            office.ann.get(f"/approvals/{pending}"),
        ):
            assert code(answer) == (503, "store_unavailable")
            assert answer.json()["safe_to_retry"] is True
        assert not target.deliveries
        redis.restore()

        async def back() -> bool:
            return (await office.ann.get("/approvals")).status_code == 200

        await until(back)
        states = [
            (await office.ann.get(f"/approvals/{it}")).json()["state"] for it in (pending, approved)
        ]
        assert states == ["pending", "approved"]
        run = await office.other("agent").execute(approved, "order-1")
        assert run.json()["status"] == "success"


async def test_while_the_database_is_away_decisions_go_on(
    shared_site: Site, forks: Forks, target: Target
) -> None:
    """Their audit waits in Redis, and is complete afterwards."""
    async with shared_site.database_line() as database:
        url = shared_site.through(database)
        async with working(shared_site, forks, DATABASE_URL=url) as office:
            first = await office.held(target.url)
            database.cut()
            assert (await decide(office.other("ann"), first)).json()["state"] == "approved"
            run = await office.agent.execute(first, "order-1")
            assert run.json()["approval"]["approvers"] == ["ann"]
            second = await office.held(target.url, "/two")
            denied = await decide(office.bob, second, "deny", reason="Not now.")
            assert denied.json()["state"] == "denied"
            database.restore()
    await shared_site.ship()
    books = [entry for entry in await shared_site.books() if entry.preview_id in (first, second)]
    assert [(entry.event, entry.status) for entry in books] == [
        ("approval.requested", "pending"),
        ("approval.decided", "approved"),
        ("run.intended", ""),
        ("run.ended", "success"),
        ("approval.requested", "pending"),
        ("approval.decided", "denied"),
    ]
    assert books[-1].detail == "Not now."


async def test_an_unreachable_target_spends_no_approval(office: Office) -> None:
    """Nothing was sent: the next execute works, with the same key, until `use_by`."""
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        port = refusing.getsockname()[1]
        preview_id = await office.approved(f"http://127.0.0.1:{port}/hook")
        before = (await office.ann.get(f"/approvals/{preview_id}")).json()
        failed = await office.agent.execute(preview_id, "order-1")
        assert (code(failed), failed.json()["safe_to_retry"]) == ((502, "target_unreachable"), True)
        after = (await office.ann.get(f"/approvals/{preview_id}")).json()
        assert {**after, "request_id": ""} == {**before, "request_id": ""}
        assert after["state"] == "approved"
    async with listening(port=port) as target:
        run = await office.other("agent").execute(preview_id, "order-1")
        assert (run.json()["status"], run.json()["approval"]["approvers"]) == ("success", ["ann"])
        assert len(target.deliveries) == 1


async def test_an_unknown_outcome_spends_the_approval(office: Office, target: Target) -> None:
    """The request may have arrived: neither the same key nor another one sends it again."""
    target.answer = reset
    preview_id = await office.approved(target.url)
    run = (await office.agent.execute(preview_id, "order-1")).json()
    assert (run["status"], run["error"]["code"]) == ("unknown", "no_response")
    again = await office.other("agent").execute(preview_id, "order-1")
    assert again.json()["run_id"] == run["run_id"]
    other = await office.other("agent").execute(preview_id, "order-2")
    assert code(other) == (409, "preview_already_executed")
    known = (await office.ann.get(f"/approvals/{preview_id}")).json()
    assert (known["state"], known["run_id"]) == ("executed", run["run_id"])
    given_up = await office.ann.delete(f"/approvals/{preview_id}")
    assert code(given_up) == (409, "preview_already_executed")
    assert len(target.deliveries) == 1
