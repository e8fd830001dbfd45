"""An identity-aware proxy signs people in: its signed assertion stands for an API key."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from gateway.access.issuer_keys import FETCH_SECONDS
from gateway.access.principal import Principal
from gateway.access.sessions import Session
from stores.redis.client import Store
from tests.support.events import listening
from tests.support.gateways import Relay, until
from tests.support.issuer import HEADER, Issuer, issuing
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.shipping import shipped
from tests.support.target import Target, hang
from tests.support.valkey import Valkey

PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as opened:
        yield opened


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path, issuer: Issuer) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path, **issuer.trusted()) as opened:
        await knows_its_keys(opened)
        yield opened


async def knows_its_keys(keyed: Keyed) -> None:
    assertions = keyed.state["admission"].assertions
    assert assertions

    async def known() -> bool:
        return assertions.keys.known

    await until(known)


def person(keyed: Keyed, issuer: Issuer, **given: object) -> Relay:
    """The browser of a person behind the proxy."""
    client = keyed.client()
    client.headers |= {**issuer.headers(**given), **PAGE}
    return client


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_person_works_without_a_key(keyed: Keyed, issuer: Issuer, target: Target) -> None:
    """With the role of a group, in the workspace of the setting."""
    ann = person(keyed, issuer, groups=["agents", "unknown"])
    who = (await ann.get("/session")).json()
    assert who["subject"] == f"oidc:{issuer.url}|ann"
    assert (who["workspace"], who["role"], who["signed_in_by"]) == ("default", "operator", "proxy")
    assert (who["until"], who["open"]) == (None, False)
    done = await ann.execute(await ann.preview_id(target.url))
    assert done.json()["status"] == "success"
    assert code(await ann.get("/keys")) == (403, "forbidden")


async def test_a_person_follows_changes_and_finds_own_runs(
    keyed: Keyed, issuer: Issuer, target: Target, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream looks each second whether its caller is still admitted."""
    ann = person(keyed, issuer, groups=["agents"])
    admission, looked = keyed.state["admission"], asyncio.Event()
    admits = admission.still_admits

    def look(principal: Principal, session: Session | None) -> bool:
        looked.set()
        return admits(principal, session)

    monkeypatch.setattr(admission, "still_admits", look)
    async with listening(ann) as listener:
        await looked.wait()
        run = (await ann.execute(await ann.preview_id(target.url))).json()
        assert await listener.next() == ("run", {"id": run["run_id"], "state": "success"})
    await shipped(store, keyed.state)
    subject = (await ann.get("/session")).json()["subject"]
    found = (await ann.get("/runs", params={"requester": subject})).json()["runs"]
    assert [it["run_id"] for it in found] == [run["run_id"]]


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["staff", "agents"], "operator"),
        (["agents", "approvers"], "approver"),
        (["admins", "staff"], "admin"),
    ],
)
async def test_of_several_groups_the_strongest_role_counts(
    keyed: Keyed, issuer: Issuer, groups: list[str], role: str
) -> None:
    answer = await person(keyed, issuer, groups=groups).get("/session")
    assert answer.json()["role"] == role


@pytest.mark.parametrize("groups", [[], None, ["strangers"]])
async def test_without_a_group_that_has_a_role_nothing_is_allowed(
    keyed: Keyed, issuer: Issuer, groups: list[str] | None
) -> None:
    answer = await person(keyed, issuer, groups=groups).get("/session")
    assert code(answer) == (403, "no_role")
    assert "None of the groups" in answer.json()["detail"]


async def test_a_key_beats_the_proxy_and_the_proxy_beats_a_session(
    keyed: Keyed, issuer: Issuer
) -> None:
    client = person(keyed, issuer)
    assert (await client.post("/session", json={"key": keyed.admin})).status_code == 204
    assert (await client.get("/session")).json()["signed_in_by"] == "proxy"
    key = {"Authorization": f"Bearer {keyed.admin}"}
    assert (await client.get("/session", headers=key)).json()["role"] == "admin"
    del client.headers[HEADER]
    assert (await client.get("/session")).json()["signed_in_by"] == "session"


async def test_an_assertion_that_is_refused_is_not_replaced_by_a_session(
    keyed: Keyed, issuer: Issuer
) -> None:
    """Or whom the proxy turns away would go on as another."""
    client = person(keyed, issuer, aud="another")
    await client.post("/session", json={"key": keyed.admin})
    answer = await client.get("/session")
    assert code(answer) == (401, "assertion_refused")
    assert "names another audience than RELAY_OIDC_AUDIENCE" in answer.json()["detail"]
    assert client.headers[HEADER] not in answer.text


async def test_a_page_of_another_site_changes_nothing(
    keyed: Keyed, issuer: Issuer, target: Target
) -> None:
    """The proxy adds the assertion to its requests too."""
    client = person(keyed, issuer, groups=["agents"])
    preview = {"action": "webhook.save", "params": {"url": target.url}}
    del client.headers["Sec-Fetch-Site"]
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {}):
        answer = await client.post("/actions/preview", json=preview, headers=headers)
        assert code(answer) == (403, "cross_site")
    assert (await client.get("/runs")).status_code == 200


@pytest.mark.parametrize("name", ["X-Forwarded-User", "X-Auth-Request-Email", HEADER])
async def test_a_header_that_is_not_signed_is_nothing(keyed: Keyed, name: str) -> None:
    answer = await keyed.client().get("/session", headers={name: "ann@example.com"})
    assert answer.status_code == 401


async def test_without_an_issuer_the_header_is_ignored(
    valkey: Valkey, tmp_path: Path, issuer: Issuer
) -> None:
    async with keyed_gateway(valkey.url, tmp_path) as keyed:
        answer = await person(keyed, issuer).get("/session")
        assert code(answer) == (401, "unauthenticated")
        names = [it["name"] for it in (await keyed.relay.get("/ready")).json()["checks"]]
        assert "issuer" not in names


async def test_every_gateway_knows_the_person(
    keyed: Keyed, issuer: Issuer, valkey: Valkey, tmp_path: Path
) -> None:
    async with keyed_gateway(valkey.url, tmp_path, **issuer.trusted()) as other:
        await knows_its_keys(other)
        subjects = [
            (await person(it, issuer).get("/session")).json()["subject"] for it in (keyed, other)
        ]
    assert subjects[0] == subjects[1]


async def test_a_gateway_starts_without_its_issuer(
    valkey: Valkey, tmp_path: Path, issuer: Issuer
) -> None:
    """API keys work meanwhile, people are asked to wait, and /ready says why."""
    down = issuer.trusted(oidc_issuer="http://127.0.0.1:1")
    async with keyed_gateway(valkey.url, tmp_path, **down) as keyed:
        assertions = keyed.state["admission"].assertions
        assert assertions
        await assertions.keys.refresh()
        answer = await person(keyed, issuer).get("/session")
        assert code(answer) == (503, "issuer_unavailable")
        assert answer.headers["Retry-After"] == "5"
        assert (await keyed.relay.get("/session")).status_code == 200
        checks = (await keyed.relay.get("/ready")).json()["checks"]
        (check,) = [it for it in checks if it["name"] == "issuer"]
        assert check["verdict"] == "warning"
        assert "only API keys sign in" in check["detail"]


async def test_an_issuer_that_hangs_holds_no_request_up(
    valkey: Valkey, tmp_path: Path, issuer: Issuer
) -> None:
    """Its document is still waited for when the requests are answered."""
    issuer.answer = hang
    async with keyed_gateway(valkey.url, tmp_path, **issuer.trusted()) as keyed:
        await issuer.arrived.wait()
        async with asyncio.timeout(FETCH_SECONDS / 2):
            assert code(await person(keyed, issuer).get("/session")) == (503, "issuer_unavailable")
            assert (await keyed.relay.get("/session")).status_code == 200
        assert len(issuer.deliveries) == 1


async def test_what_people_do_is_audited_by_their_subject(
    keyed: Keyed, issuer: Issuer, target: Target, store: Store
) -> None:
    """Refusals for want of a role too; no assertion stands there."""
    ann, mallory = (
        person(keyed, issuer, groups=["agents"]),
        person(keyed, issuer, sub="mallory", groups=[]),
    )
    await ann.execute(await ann.preview_id(target.url))
    await mallory.get("/runs")
    await keyed.state["journal"].write()
    await shipped(store, keyed.state)
    entries = (await keyed.relay.get("/audit")).json()["entries"]
    found = {(it["event"], it["principal"]) for it in entries}
    assert ("run.ended", f"oidc:{issuer.url}|ann") in found
    assert ("request.refused", f"oidc:{issuer.url}|mallory") in found
    assert ann.headers[HEADER] not in str(entries)


async def test_an_admin_behind_the_proxy_makes_keys(keyed: Keyed, issuer: Issuer) -> None:
    """Which remember their maker."""
    admin = person(keyed, issuer, groups=["admins"])
    made = await admin.post("/keys", json={"name": "robot", "role": "operator"})
    assert made.status_code == 201
    assert made.json()["key"]["created_by"] == f"oidc:{issuer.url}|ann"
