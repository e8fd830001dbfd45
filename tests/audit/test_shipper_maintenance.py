"""Each gateway also logs signed heads every minute, and applies the retention once a day."""

from datetime import timedelta
from typing import Any

import pytest

from gateway.audit.maintenance import HEADS_PACE, REMOVAL_PACE, REPEAT_PACE, Failure
from gateway.audit.shipper import PACE
from gateway.config.variables import SettingsError
from stores.audit.chain import BrokenChain
from stores.audit.signatures import SignedHead
from stores.audit.walk import Broken, Verified
from stores.redis.scripts import RedisUnavailable
from stores.sql.drivers.errors import DatabaseUnavailable, SchemaOutdated
from tests.support.observed import Lines, lines
from tests.support.shipping import KEPT, SECOND, Audit, audit, later

__all__ = ["audit", "lines"]


def signed(lines: Lines) -> list[SignedHead]:
    return [
        SignedHead(
            line["workspace"],
            line["seq"],
            bytes.fromhex(line["mac"]),
            line["signed_at"],
            bytes.fromhex(line["signature"]),
        )
        for line in lines.of("audit.head")
    ]


def slots(lines: Lines) -> list[tuple[str, int]]:
    return [(head.workspace, head.seq) for head in signed(lines)]


def removals(lines: Lines) -> list[tuple[str, Any]]:
    return [(line["workspace"], line["entries"]) for line in lines.of("audit.removed")]


async def test_heads_that_moved_are_signed_every_minute(audit: Audit, lines: Lines) -> None:
    """And the others every hour. By each gateway, whichever has shipped."""
    shipper, other = audit.shipper(), audit.shipper()
    await audit.record(3)
    await shipper.turn()
    assert slots(lines) == [("default", 1), ("w", 3)]
    await audit.record(2)
    await other.turn()
    assert slots(lines)[2:] == [("default", 1), ("w", 5)]
    later(shipper, HEADS_PACE - SECOND)
    await shipper.turn()
    assert len(slots(lines)) == 4
    later(shipper, SECOND)
    await shipper.turn()
    assert slots(lines)[4:] == [("w", 5)]
    later(shipper, REPEAT_PACE)
    await shipper.turn()
    assert slots(lines)[5:] == [("default", 1), ("w", 5)]


async def test_a_signed_head_reveals_a_truncated_chain(audit: Audit, lines: Lines) -> None:
    """With an older head restored, only the logged heads show that the chain was longer."""
    shipper = audit.shipper()
    await audit.record(3)
    await shipper.turn()
    before = await audit.head()
    await audit.record(2)
    later(shipper, HEADS_PACE)
    await shipper.turn()
    heads = [head for head in signed(lines) if head.workspace == "w"]
    assert await audit.verified(heads=heads) == Verified("w", 5, 5)

    await audit.execute("DELETE FROM audit WHERE workspace = 'w' AND seq > 3")
    await audit.execute(
        "UPDATE audit_heads SET seq = 3, mac = $1, signature = $2 WHERE workspace = 'w'",
        before.mac,
        before.signature,
    )
    assert await audit.verified() == Verified("w", 3, 3)
    assert await audit.verified(heads=heads) == Broken("w", 4, "cut")


async def test_old_entries_are_removed_once_a_day(audit: Audit, lines: Lines) -> None:
    """Younger ones stay, and verify."""
    shipper = audit.shipper()
    await audit.record(3, ago=KEPT + SECOND)
    await audit.record(2, ago=KEPT - timedelta(minutes=5))
    await shipper.turn()
    assert (removals(lines), len(await audit.sources())) == ([("w", 3)], 2)
    assert await audit.verified() == Verified("w", 2, 5)

    await audit.record(2, "x", ago=KEPT + SECOND)
    later(shipper, REMOVAL_PACE - SECOND)
    await shipper.turn()
    assert len(await audit.sources("x")) == 2
    later(shipper, SECOND)
    await shipper.turn()
    assert removals(lines)[1:] == [("x", 1)]  # the newest always stays


async def test_a_broken_chain_blocks_no_maintenance_of_others(audit: Audit, lines: Lines) -> None:
    """While its entries wait, heads of other chains are signed and their old entries removed."""
    await audit.record(2)
    await audit.record(3, "x", ago=KEPT + SECOND)
    await audit.shipper().turn()
    await audit.break_chain()
    await audit.record()
    await audit.record(3, "x", ago=KEPT + SECOND)
    before = len(slots(lines))
    shipper = audit.shipper()
    await shipper.turn()
    assert slots(lines)[before:] == [("default", 1), ("x", 6)]
    assert removals(lines) == [("x", 2), ("x", 3)]
    assert shipper.check().detail.endswith(": BrokenChain")


async def test_a_broken_chain_stays_a_warning(audit: Audit, lines: Lines) -> None:
    """Even without waiting entries, until it verifies again; it is checked every minute."""
    shipper = audit.shipper()
    await shipper.turn()
    await audit.record(3, ago=KEPT + SECOND)
    await shipper.turn()
    await audit.break_chain()
    later(shipper, REMOVAL_PACE)
    for _ in range(3):
        await shipper.turn()
        assert shipper.check().detail.endswith(": BrokenChain")
    await audit.mend_chain()
    later(shipper, HEADS_PACE)
    await shipper.turn()
    assert shipper.check().verdict == "ok"
    assert removals(lines) == [("w", 2)]


async def test_a_head_that_cannot_be_read_blocks_no_other(audit: Audit, lines: Lines) -> None:
    """It is named, and signed with the others a minute later."""
    shipper = audit.shipper()
    await audit.record(1)
    await audit.record(1, "x")
    await shipper.turn()
    before = len(slots(lines))
    audit.database.held = "w"
    for workspace in ("w", "x"):
        await audit.record(1, workspace)
    later(shipper, HEADS_PACE)
    await shipper.turn()
    assert slots(lines)[before:] == [("x", 2)]
    assert shipper.check().detail.endswith(": DatabaseUnavailable")
    assert shipper.pause == PACE
    audit.database.held = ""
    later(shipper, HEADS_PACE)
    await shipper.turn()
    assert slots(lines)[before + 1 :] == [("w", 2)]
    assert shipper.check().verdict == "ok"


async def test_a_changed_old_entry_stays_a_warning(audit: Audit) -> None:
    """It is not removed, and the head can still be signed."""
    shipper = audit.shipper()
    await shipper.turn()
    await audit.record(3, ago=KEPT + SECOND)
    await shipper.turn()
    await audit.execute("UPDATE audit SET entry = entry || ' ' WHERE workspace = 'w' AND seq = 1")
    later(shipper, REMOVAL_PACE)
    for _ in range(2):
        await shipper.turn()
        assert shipper.check().detail.endswith(": BrokenChain")


def test_an_unavailable_database_is_no_failure_of_a_chain() -> None:
    """It affects every chain."""
    assert Failure.of(DatabaseUnavailable(), "w") == Failure("DatabaseUnavailable")
    assert Failure.of(BrokenChain("w"), "w") == Failure("BrokenChain", "w")


@pytest.mark.parametrize(
    "error",
    [DatabaseUnavailable("x"), SchemaOutdated("x"), RedisUnavailable("x"), SettingsError("x")],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_every_workspace_names_none(error: Exception) -> None:
    """Any other error names the workspace of its chain."""
    assert Failure.of(error, "w") == Failure(type(error).__name__)
    assert Failure.of(ValueError("x"), "w") == Failure("ValueError", "w")
