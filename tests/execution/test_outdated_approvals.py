"""What was allowed when it was previewed is judged once more before any byte is sent."""

import msgspec
import pytest

from gateway.access.principal import Principal
from gateway.approvals.inbox import Approvals, Inbox
from gateway.approvals.policies import Policies
from gateway.approvals.policy import Policy
from gateway.execution.engine import Engine
from gateway.execution.runner import Runner
from gateway.problems import ApprovalOutdated, ApprovalPending
from stores.redis.approvals import Approvals as Stored
from stores.redis.client import Store
from stores.redis.runs import Runs
from tests.execution.test_runner import TIMEOUT
from tests.support.credentials import credentials
from tests.support.engines import ASKING, NO_WAIT, SUCCESS, Scripted, engine, params, scripted

APPROVER = Principal(
    workspace="w",
    id="k-ann",
    subject="ann",
    role="approver",
    scopes=frozenset({"approvals:decide"}),
)
ONE, TWO = (f'[[rule]]\nname = "all"\nneed = {{ approvals = {number} }}\n' for number in (1, 2))


class Credulous(Policies):
    """Judges nothing again."""

    def unmet(self, *asked: object, **more: object) -> list[str]:
        return []


def gateway(
    store: Store,
    egress: Scripted,
    text: str,
    kind: type[Policies] = Policies,
    *,
    roster: bool = True,
) -> Engine:
    """`roster`: whether approvers still have keys."""
    policies = kind(Policy(text) if text else None, lambda _, it, **__: it.role if roster else None)
    approvals = Approvals(policies, Inbox(Stored(store.scripts)))
    runs = Runs(store.scripts)
    executing = Runner(
        runs=runs,
        egress=egress,
        credentials=credentials(),
        action_timeout=TIMEOUT,
        approvals=approvals,
    )
    return engine(store, egress, executing)


async def previewed(asked: Engine) -> tuple[str, str]:
    made = await asked.preview(ASKING, "webhook.save", params("http://a.de/"))
    return made.preview_id, made.effect.digest


async def approved(asked: Engine) -> str:
    preview_id, digest = await previewed(asked)
    await asked.inbox.decide(APPROVER, preview_id, "approve", digest=digest, reason="")
    return preview_id


@pytest.mark.parametrize(
    ("before", "after", "roster"),
    [("", ONE, True), (ONE, TWO, True), (ONE, ONE, False)],
    ids=["a new rule", "a stricter rule", "a revoked approver"],
)
async def test_what_is_not_enough_any_more_is_not_sent(
    store: Store, before: str, after: str, roster: bool
) -> None:
    """A gateway that judged nothing again would send each of them."""
    egress = scripted(SUCCESS)
    made = gateway(store, egress, before)
    preview_id = await approved(made) if before else (await previewed(made))[0]
    strict = gateway(store, egress, after, roster=roster)
    with pytest.raises(ApprovalOutdated):
        await strict.execute(ASKING, preview_id, key="order-1", wait=NO_WAIT)
    assert egress.sent == []

    preview_id = await approved(made) if before else (await previewed(made))[0]
    credulous = gateway(store, egress, after, Credulous, roster=roster)
    run = await credulous.execute(ASKING, preview_id, key="order-2", wait=NO_WAIT)
    assert msgspec.json.decode(run.document)["status"] == "success"
    assert len(egress.sent) == 1


async def test_what_is_held_stays_held_where_nothing_is_judged(store: Store) -> None:
    """The store has nothing to send: that does not depend on the gateway."""
    egress = scripted(SUCCESS)
    preview_id, _ = await previewed(gateway(store, egress, ONE))
    with pytest.raises(ApprovalPending):
        await gateway(store, egress, "", Credulous).execute(
            ASKING, preview_id, key="order-1", wait=NO_WAIT
        )
    assert egress.sent == []
