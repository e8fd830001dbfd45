"""`relay approvals`: what waits is listed, shown, and decided exactly as shown."""

import json

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http.server import ListeningServer, running
from tests.cli.approvals.conftest import Desk
from tests.support.deciding import code, key_of
from tests.support.target import Target

TWO = "/two"


async def test_what_waits_is_listed(desk: Desk, target: Target) -> None:
    """For people and for machines; filters narrow the list."""
    preview_id = await desk.agent.preview_id(target.url)
    table = await desk.run("list")
    assert table.exit_code == 0, table.output
    assert preview_id in table.stdout
    assert "agent" in table.stdout
    listed = json.loads((await desk.run("list", "--json", "--requester", "agent")).stdout)
    assert [it["preview_id"] for it in listed["approvals"]] == [preview_id]
    none = await desk.run("list", "--requester", "bob")
    assert (none.exit_code, none.stdout, none.stderr) == (0, "", "No approvals.\n")


async def test_a_request_is_shown_with_what_is_asked(desk: Desk, target: Target) -> None:
    """Hidden characters are spelled out, in the body and in the warnings."""
    made = await desk.agent.preview(target.url, body="pay\u202etxt")
    shown = await desk.run("show", made.json()["preview_id"])
    assert shown.exit_code == 0, shown.output
    assert "asked by agent" in shown.stdout
    assert "posts: 1 of 1 approvals missing; from role:approver; a denial needs" in shown.stdout
    assert "WARNING  The body has hidden characters: U+202E." in shown.stdout
    assert f"| POST {target.url}\n" in shown.stdout
    assert '| "pay<U+202E>txt"\n' in shown.stdout
    machine = await desk.run("show", made.json()["preview_id"], "--json")
    assert json.loads(machine.stdout)["wire"] == made.json()["effect"]["wire"]
    assert machine.stdout.isascii()


async def test_what_was_shown_is_approved(desk: Desk, target: Target) -> None:
    """After a yes; a no decides nothing, and neither does a script without --yes."""
    preview_id = await desk.agent.preview_id(target.url)
    for typed in ("\nn\n", "\n", ""):
        stopped = await desk.run("approve", preview_id, typed=typed)
        assert (stopped.exit_code, "Aborted!" in stopped.stderr) == (1, True)
    early = await desk.agent.execute(preview_id, "order-1", wait=0)
    assert code(early) == (409, "approval_pending")
    approved = await desk.run("approve", preview_id, typed="It is due.\ny\n")
    assert approved.exit_code == 0, approved.output
    assert "Reason, or nothing: " in approved.stdout
    assert f"| POST {target.url}\n" in approved.stdout
    assert approved.stdout.endswith(f"{preview_id} is approved.\n")
    run = (await desk.agent.execute(preview_id, "order-1")).json()
    assert run["approval"]["approvers"] == ["ann"]
    shown = await desk.run("show", preview_id)
    assert "decision approve by ann (approver" in shown.stdout
    assert ": It is due.\n" in shown.stdout


async def test_a_rule_that_asks_for_a_reason_gets_one(desk: Desk, target: Target) -> None:
    """Typed, or given with --reason."""
    preview_id = await desk.agent.preview_id(target.url)
    denied = await desk.run("deny", preview_id, typed="Not this month.\ny\n")
    assert denied.exit_code == 0, denied.output
    assert "Reason, which posts asks for:" in denied.stdout
    refused = await desk.agent.execute(preview_id, "order-1")
    assert 'It was ann with the reason "Not this month."' in refused.json()["detail"]
    two = await desk.agent.preview_id(target.url.replace("/hook", TWO))
    half = await desk.run("approve", two, "--yes", "--reason", "Agreed.")
    assert half.stdout.endswith(f"Recorded; {two} needs 1 more.\n")
    bob = await key_of(desk.keyed, "approver", "bob")
    other = await desk.run("approve", two, "--yes", "--reason", "Agreed.", key=bob)
    assert other.stdout.endswith(f"{two} is approved.\n")


async def test_a_refused_decision_is_one_sentence(desk: Desk, target: Target) -> None:
    """With the gateway's code: the requester's own, an ended one, an unknown one, no key."""
    preview_id = await desk.agent.preview_id(target.url)
    own = await key_of(desk.keyed, "approver", "agent")
    viewer = await key_of(desk.keyed, "viewer")
    refusals = [
        (("approve", preview_id, "--yes"), own, "own_request: "),
        (("deny", preview_id, "--yes"), desk.ann, "Aborted!"),
        (("approve", "never-was", "--yes"), desk.ann, "preview_not_found: "),
        (("show", "../keys"), desk.ann, "Error: not_found: "),
        (("list",), viewer, "forbidden: "),
        (("list",), "rly_live_no", "unauthenticated: "),
    ]
    for words, key, sentence in refusals:
        refused = await desk.run(*words, key=key)
        assert (refused.exit_code, sentence in refused.stderr) == (1, True), refused.output
    await desk.run("deny", preview_id, "--yes", "--reason", "No.")
    ended = await desk.run("approve", preview_id, "--yes")
    assert (ended.exit_code, "approval_ended: this approval is denied" in ended.stderr) == (1, True)
    assert not target.deliveries


async def test_a_digest_that_is_not_of_what_is_shown_stops_the_decision(
    desk: Desk, target: Target
) -> None:
    """Somewhere between the two, the request was changed; nothing is sent to the gateway."""
    preview_id = await desk.agent.preview_id(target.url)
    shown = await desk.run("show", preview_id, "--json")
    asked: list[str] = []

    async def changed(request: Request) -> Response:
        asked.append(request.method)
        return Response(shown.stdout.replace("hello", "hullo"), media_type="application/json")

    app = Starlette(routes=[Route("/{path:path}", changed, methods=["GET", "POST"])])
    async with running(ListeningServer(app, host="127.0.0.1", port=0)) as url:
        refused = await desk.run("approve", preview_id, "--yes", "--url", url)
    assert (refused.exit_code, "nothing was decided" in refused.stderr) == (1, True)
    assert "hullo" in refused.stdout
    assert asked == ["GET"]


@pytest.mark.parametrize(
    ("url", "status", "text"),
    [
        ("ftp://a", 2, "the URL of the gateway must be like"),
        ("http://127.0.0.1:1", 1, "the gateway cannot be reached"),
    ],
)
async def test_a_gateway_that_is_not_there_is_one_sentence(
    desk: Desk, url: str, status: int, text: str
) -> None:
    result = await desk.run("list", "--url", url)
    assert (result.exit_code, text in result.stderr) == (status, True)
