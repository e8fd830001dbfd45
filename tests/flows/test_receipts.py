"""A receipt tells what was asked, approved, sent and answered, and anyone can verify it."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.receipts import receipts
from gateway.config.secret import Secret
from stores.redis.client import Store
from tests.flows.test_approvals import POLICY
from tests.support.deciding import client_of, code, decide
from tests.support.gateways import Relay
from tests.support.keyed import AUDIT_KEY, Keyed, keyed_gateway
from tests.support.shipping import shipped
from tests.support.target import Target, reset
from tests.support.valkey import Valkey

SCRIPT = Path(__file__).parents[2] / "deploy" / "guides" / "verify_receipt.py"


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path / "data", policy=POLICY) as opened:
        yield opened


class Saved:
    """Receipts, keys and requests as files, as a person saves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, name: str, document: Any) -> str:
        (self.folder / name).write_text(json.dumps(document))
        return str(self.folder / name)

    async def verify(self, relay: Relay, receipt: Any, wire: Any = None) -> Result:
        keys = self.save("keys.json", (await relay.get("/receipts/keys")).json())
        words = ["verify", self.save("receipt.json", receipt), "--keys", keys]
        words += ["--request", self.save("wire.json", wire)] if wire else []
        return CliRunner().invoke(receipts, words)

    def public(self) -> Any:
        """What the script of the guide prints, which knows nothing of Relay."""
        files = [str(self.folder / name) for name in ("receipt.json", "keys.json")]
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *files], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    return Saved(tmp_path)


async def test_a_receipt_of_an_approved_run_proves_the_whole_chain(
    keyed: Keyed, store: Store, target: Target, saved: Saved
) -> None:
    """Who asked, who approved, what was sent and answered; also after Redis has forgotten."""
    agent = await client_of(keyed, "operator", "robot")
    ann = await client_of(keyed, "approver", "ann")
    preview_id = await agent.preview_id(target.url)
    shown = (await ann.get(f"/approvals/{preview_id}")).json()
    await decide(ann, preview_id, reason="For the invoice 7.")
    run = (await agent.execute(preview_id, "order-1")).json()
    await shipped(store, keyed.state)
    receipt = (await agent.get(f"/runs/{run['run_id']}/receipt")).json()
    done = await saved.verify(agent, receipt, shown)
    assert done.exit_code == 0, done.output
    for words in (
        f"robot asked for the preview {preview_id} of webhook.save in the workspace default.",
        f"The request has the digest {shown['digest']}.",
        "ann (approver, key ",
        "'For the invoice 7.'",
        "The rule 'posts' needed 1 approval(s).",
        "is success; the target answered 200.",
        f"The request carried the webhook-id {run['run_id']}.",
        "The given request is the one of this receipt, byte for byte.",
    ):
        assert words in done.output, words
    assert dict(target.deliveries[0].headers)["webhook-id"] == run["run_id"]
    assert saved.public()["run"]["run_id"] == run["run_id"]

    await store.client.flushall()
    assert (await agent.get(f"/runs/{run['run_id']}/receipt")).json() == receipt
    of_approval = (await ann.get(f"/approvals/{preview_id}/receipt")).json()
    await saved.verify(agent, of_approval)
    assert saved.public()["approval"]["state"] == "executed"
    assert saved.public()["run"] == (await public(saved, agent, receipt))["run"]


async def public(saved: Saved, relay: Relay, receipt: Any) -> Any:
    await saved.verify(relay, receipt)
    return saved.public()


async def test_a_run_that_needed_no_approval_has_a_receipt(
    keyed: Keyed, store: Store, target: Target, saved: Saved
) -> None:
    """An outcome that is not known is `unknown` there, too."""
    agent = await client_of(keyed, "operator", "robot")
    target.answer = reset
    params = {"url": target.url, "method": "PUT", "body": 1}
    asked = {"action": "webhook.save", "params": params}
    preview = (await agent.post("/actions/preview", json=asked)).json()
    run = (await agent.execute(preview["preview_id"])).json()
    await shipped(store, keyed.state)
    receipt = (await agent.get(f"/runs/{run['run_id']}/receipt")).json()
    told = await public(saved, agent, receipt)
    assert (told["requester"], told["approval"]) == ("robot", None)
    assert (told["run"]["status"], told["run"]["reason"]) == ("unknown", "no_response")
    assert told["digest"] == preview["effect"]["digest"]


async def test_a_denial_has_a_receipt(keyed: Keyed, store: Store, target: Target) -> None:
    """Not before the decision, nor before the audit has it; strangers get the same 404."""
    agent = await client_of(keyed, "operator", "robot")
    ann = await client_of(keyed, "approver", "ann")
    stranger = await client_of(keyed, "operator", "eve")
    preview_id = await agent.preview_id(target.url)
    path = f"/approvals/{preview_id}/receipt"
    assert code(await ann.get(path)) == (409, "approval_pending")
    await decide(ann, preview_id, "deny", reason="No.")
    await shipped(store, keyed.state)
    assert (await ann.get(path)).status_code == 200
    for relay, where in ((stranger, path), (ann, "/approvals/unknown/receipt")):
        assert code(await relay.get(where)) == (404, "preview_not_found")
    assert code(await ann.get("/runs/unknown/receipt")) == (404, "run_not_found")


async def test_a_rotated_key_still_verifies(
    keyed: Keyed, valkey: Valkey, store: Store, target: Target, saved: Saved, tmp_path: Path
) -> None:
    """The new key signs, and the old one stays published; another installation's is refused."""
    run = (await keyed.relay.execute(await put(keyed.relay, target))).json()
    await shipped(store, keyed.state)
    path = f"/runs/{run['run_id']}/receipt"
    older = (await keyed.relay.get(path)).json()
    keys = (Secret(b"n" * 32), Secret(AUDIT_KEY))
    async with keyed_gateway(valkey.url, tmp_path / "data", audit_keys=keys) as rotated:
        newer = (await rotated.relay.get(path)).json()
        assert newer["payload"] == older["payload"]
        assert newer["signatures"] != older["signatures"]
        for receipt in (older, newer):
            assert (await saved.verify(rotated.relay, receipt)).exit_code == 0
    refused = await saved.verify(keyed.relay, newer)
    assert (refused.exit_code, "None of the given keys" in refused.output) == (1, True)


async def put(relay: Relay, target: Target) -> str:
    asked = {"action": "webhook.save", "params": {"url": target.url, "method": "PUT"}}
    return str((await relay.post("/actions/preview", json=asked)).json()["preview_id"])


async def test_a_changed_audit_gives_no_receipt(keyed: Keyed, store: Store, target: Target) -> None:
    """Relay does not sign what a database writer has written."""
    run = (await keyed.relay.execute(await put(keyed.relay, target))).json()
    await shipped(store, keyed.state)
    database = await keyed.state["database"].open()
    async with database.begin() as connection:
        await connection.execute(
            "UPDATE audit SET entry = replace(entry, '\"success\"', '\"unknown\"')"
        )
    refused = await keyed.relay.get(f"/runs/{run['run_id']}/receipt")
    assert code(refused) == (503, "store_unavailable")
    assert "relay audit verify" in refused.json()["detail"]
