"""The probe of /ready is needed: without it a gateway that cannot serve says that it is ready."""

from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from stores.redis.client import Store
from stores.redis.server.health import Check, Health
from tests.support.gateways import until
from tests.support.keyed import keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey


class Unprobed(Health):
    """Asks how the server is configured, and tries nothing."""

    async def _probed(self) -> list[Check]:
        return []


def full(redis: Redis) -> None:
    redis.config_set("maxmemory", 1)


def without_replica(redis: Redis) -> None:
    redis.config_set("min-replicas-to-write", 1)


def without_snapshot(redis: Redis) -> None:
    """A folder stands where the file should be."""
    folder = Path(str(redis.config_get("dir")["dir"]))
    (folder / "dump.rdb").mkdir()
    redis.config_set("save", "3600 1")
    redis.bgsave()


def read_only(redis: Redis) -> None:
    redis.acl_setuser("default", enabled=True, commands=["-@write"])


def without_channels(redis: Redis) -> None:
    redis.acl_setuser("default", enabled=True, reset_channels=True)


Breaks = Callable[[Redis], None]
CASES: dict[str, tuple[Breaks, str, str]] = {
    "OOM": (full, "writes", "Redis answers OOM."),
    "NOREPLICAS": (without_replica, "writes", "Redis answers NOREPLICAS."),
    "MISCONF": (without_snapshot, "writes", "Redis answers MISCONF."),
    "a user that may not write": (read_only, "writes", "Redis answers ERR."),
    "no channels": (without_channels, "subscription", "&relay:*"),
}


@pytest.mark.parametrize("probed", [True, False], ids=["probed", "unprobed"])
@pytest.mark.parametrize(("breaks", "check", "detail"), CASES.values(), ids=CASES)
async def test_ready_tries_what_serving_needs(
    own_valkey: Valkey,
    target: Target,
    tmp_path: Path,
    breaks: Breaks,
    check: str,
    detail: str,
    probed: bool,
) -> None:
    """A server that answers every question about itself may still refuse each preview, or each
    request that waits.
    """
    async with keyed_gateway(own_valkey.url, tmp_path) as keyed:
        readiness = keyed.state["readiness"]
        assert (await keyed.relay.get("/ready")).status_code == 200
        if not probed:
            readiness._store = unprobed(readiness._store)
        with own_valkey.client() as redis:
            breaks(redis)

        async def refused() -> bool:
            previewed = await keyed.relay.preview(target.url)
            return previewed.status_code == 503

        if check == "writes":
            await until(refused, patience=10)
        readiness._checked_at = float("-inf")
        ready = await keyed.relay.get("/ready")
        with own_valkey.client() as redis:
            redis.config_set("save", "")  # a server that cannot save does not stop
        failed = [it for it in ready.json()["checks"] if it["verdict"] == "failed"]
        if probed:
            assert ready.status_code == 503
            assert detail in {it["name"]: it["detail"] for it in failed}[check]
        else:
            assert (ready.status_code, failed) == (200, [])


def unprobed(store: Store) -> Store:
    return store._replace(health=Unprobed(store.client, store.scripts, store.run_endings))
