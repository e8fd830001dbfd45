"""A deleted connection gives its grant back, unless another connection needs it."""

from pathlib import Path

import pytest

from stores.redis import names
from tests.support.consenting import Browser, asked, connecting_gateway, connections
from tests.support.identity_provider import identifying
from tests.support.valkey import Valkey


@pytest.mark.parametrize(
    ("kind", "status", "state"),
    [
        ("google", 200, "revoked"),
        ("google", 400, "failed"),
        ("microsoft", 200, "by_owner"),
        ("slack", 200, "revoked"),
        ("github", 200, "by_owner"),
    ],
)
async def test_a_deletion_says_what_became_of_the_grant(
    kind: str, status: int, state: str, valkey: Valkey, tmp_path: Path
) -> None:
    """The connection is gone in any case, with its access token."""
    async with (
        identifying(kind) as provider,
        connecting_gateway(valkey.url, tmp_path, provider) as keyed,
    ):
        provider.revoke_status = status
        await Browser(keyed).connect(await asked(keyed.relay, provider))
        [one] = await connections(keyed.relay)
        key = names.access_token("default", one["id"])
        with valkey.client() as redis:
            assert redis.exists(key)
            gone = (await keyed.relay.delete(f"/connections/{one['id']}")).json()
            assert not redis.exists(key)
        assert gone["revocation"]["state"] == state
        if state in ("failed", "by_owner"):
            assert "https://" in gone["revocation"]["detail"]
        assert len(provider.ended) == (kind == "google" and status == 200)
        assert await connections(keyed.relay) == []


async def test_a_grant_that_another_connection_needs_stays(valkey: Valkey, tmp_path: Path) -> None:
    """Google would end it for every workspace. The last one to go takes it along."""
    async with (
        identifying() as provider,
        connecting_gateway(valkey.url, tmp_path, provider) as keyed,
    ):
        await keyed.workspace("team")
        team = keyed.client(await keyed.key("admin", workspace="team"))
        states = []
        for relay in (keyed.relay, team):
            await Browser(keyed).connect(await asked(relay, provider))
        for relay in (keyed.relay, team):
            [one] = await connections(relay)
            gone = await relay.delete(f"/connections/{one['id']}")
            states.append(gone.json()["revocation"]["state"])
        assert states == ["kept", "revoked"]
