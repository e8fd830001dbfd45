"""A gateway of an older release, with the scripts that it brings, never sends a held preview."""

import pytest

from stores.redis.approvals import Approvals
from stores.redis.previews import NewPreview, Previews
from stores.redis.runs import Runs
from stores.redis.scripts import UnknownAnswer
from tests.support.approvals import decide, hold, withdraw
from tests.support.edited import Edited, older
from tests.support.reservations import LEASE, ORIGIN, reservation
from tests.support.valkey import Valkey

SCRIPTS = ["reserve_first", "reserve_before_approvals"]


async def answer_of(runs: Runs, preview_id: str = "p-1") -> bytes:
    """The first word of the old answer, which the new contract may not name any more."""
    asked = reservation(f"run-{preview_id}", key=f"key-{preview_id}", preview_id=preview_id)
    try:
        answer = await runs.reserve(asked, lease=LEASE)
    except UnknownAnswer as error:
        word: bytes = error.args[0][0]
        return word
    return type(answer).__name__.encode()


@pytest.mark.parametrize("script", SCRIPTS)
async def test_an_older_reserve_does_not_find_what_is_held(valkey: Valkey, script: str) -> None:
    """Pending, denied, cancelled or expired; a plain preview and an approved one it reserves."""
    async with valkey.async_client() as client:
        scripts = Edited(client, reserve=older(script))
        approvals, runs = Approvals(scripts), Runs(scripts)
        await hold(approvals)
        assert await answer_of(runs) == b"NoPreview"
        await decide(approvals, "ann", "deny")
        assert await answer_of(runs) == b"NoPreview"
        await hold(approvals, preview_id="cancelled")
        await withdraw(approvals, "cancelled")
        assert await answer_of(runs, "cancelled") == b"NoPreview"
        await hold(approvals, 2, preview_id="two")
        await decide(approvals, "ann", preview_id="two")
        assert await answer_of(runs, "two") == b"NoPreview"
        await decide(approvals, "bob", preview_id="two")
        assert await answer_of(runs, "two") == b"reserved"
        await Previews(scripts).save("w", NewPreview("p-2", b"{}", ORIGIN))
        assert await answer_of(runs, "p-2") == b"reserved"


@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_preview_that_is_held_under_its_own_key_would_be_sent(
    valkey: Valkey, script: str
) -> None:
    """Which is why approvals have a key of their own: a script that only adds a state to the
    preview is not safe beside an older release.
    """
    async with valkey.async_client() as client:
        scripts = Edited(client, reserve=older(script))
        await hold(Approvals(scripts))
        await Previews(scripts).save("w", NewPreview("p-1", b"{}", ORIGIN))
        assert await answer_of(Runs(scripts)) == b"reserved"
