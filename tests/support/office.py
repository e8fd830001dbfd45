"""Two gateways with one store, one database and one policy each, with requesters and deciders."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from stores.redis import names
from tests.support.deciding import decide
from tests.support.fleet import WORKSPACE, Site, gateways
from tests.support.forks import Fork, Forks
from tests.support.gateways import Relay, client

POLICY = """
[[rule]]
name = "one"
when = { paths = ["/one*", "/two*"] }
need = { approvals = 1, from = ["role:approver"], within = "1h", reason = "deny" }
[[rule]]
name = "two"
when = { paths = ["/two*"] }
need = { approvals = 2, from = ["role:approver"], within = "30m" }
[[rule]]
name = "never"
when = { paths = ["/never*"] }
deny = true
"""
NO_POLICY = 'default = "allow"\n'
# Role and subject of each.
PEOPLE = {
    "agent": ("operator", "agent"),
    "ann": ("approver", "ann"),
    "bob": ("approver", "bob"),
    "admin": ("admin", "root"),
}


class Office:
    """`agent`, `ann`, …: the clients of PEOPLE at the first gateway; `other`: at the second."""

    def __init__(
        self, site: Site, forks: Sequence[Fork], clients: Mapping[str, Sequence[Relay]]
    ) -> None:
        self.site, self.forks, self._clients = site, forks, clients
        self.agent, self.ann, self.bob, self.admin = (clients[name][0] for name in PEOPLE)

    def other(self, name: str) -> Relay:
        return self._clients[name][1]

    def bearer(self, name: str) -> str:
        return str(self._clients[name][0].headers["Authorization"])

    async def held(self, target: str, path: str = "/one") -> str:
        """The id of a preview that is held."""
        answer = await self.agent.preview(at(target, path))
        assert answer.json()["approval"]["state"] == "pending", answer.text
        return str(answer.json()["preview_id"])

    async def approved(self, target: str, path: str = "/one") -> str:
        preview_id = await self.held(target, path)
        for approver in (self.ann, self.other("bob")):
            if (await decide(approver, preview_id)).json()["state"] == "approved":
                return preview_id
        raise AssertionError("two approvals were not enough")

    def reach_deadline(self, preview_id: str) -> None:
        """The deadline of the decision is now, as after its time."""
        with self.site.valkey.client() as redis:
            seconds, microseconds = redis.time()
            now = seconds * 1000 + microseconds // 1000
            redis.hset(names.approval(WORKSPACE, preview_id), "decide_by", now)
            redis.zadd(names.pending(WORKSPACE), {preview_id: now}, xx=True)

    def reach_end_of_use(self, preview_id: str) -> None:
        """The approval has not been used in time."""
        with self.site.valkey.client() as redis:
            seconds, microseconds = redis.time()
            now = seconds * 1000 + microseconds // 1000
            redis.hset(names.approval(WORKSPACE, preview_id), "use_by", now)
            redis.pexpireat(names.preview(WORKSPACE, preview_id), now)


def at(target: str, path: str) -> str:
    return target.replace("/hook", path)


@asynccontextmanager
async def working(site: Site, forks: Forks, *policies: str, **env: str) -> AsyncIterator[Office]:
    """`policies`: of the two gateways; POLICY for both unless given."""
    secrets = {
        name: (await site.key(name, role, subject=subject)).secret
        for name, (role, subject) in PEOPLE.items()
    }
    envs = []
    for number, policy in enumerate(policies or (POLICY, POLICY)):
        file = site.folder / f"policy-{number}.toml"
        file.write_text(policy)
        envs.append(site.env(RELAY_APPROVAL_POLICY=str(file), **env))
    async with gateways(forks, *envs) as both, AsyncExitStack() as stack:
        clients: dict[str, list[Relay]] = {name: [] for name in secrets}
        for name, secret in secrets.items():
            for fork in both:
                opened = await stack.enter_async_context(client(fork.url))
                opened.headers["Authorization"] = f"Bearer {secret}"
                clients[name].append(opened)
        yield Office(site, both, clients)
