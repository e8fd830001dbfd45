"""Preview, execute, act and lists, against a real gateway."""

import asyncio

import httpx2
import msgspec
import pytest

from relay_client import AsyncRelay, Preview, Relay
from relay_client.problems import (
    Declined,
    InvalidParams,
    PreviewAlreadyExecuted,
    RunFailed,
    RunUnknown,
)
from tests.support.clients import Client
from tests.support.gateways import until
from tests.support.target import Target, reset, status


async def test_an_execution_that_is_repeated_returns_its_run(
    client: Client, target: Target
) -> None:
    """Without a key the preview is the key, also for a caller that knows only its id."""
    preview = await client.preview("webhook.save", url=target.url, body={"test": "hello"})
    assert preview.effect.wire.digest == preview.effect.digest
    assert target.deliveries == []
    run = await client.execute(preview)
    again = await client.execute(preview.preview_id)
    assert (run.status, run.replayed) == ("success", False)
    assert run.result
    assert (run.result.status_code, run.result.response) == (200, "OK")
    assert (again.run_id, again.replayed) == (run.run_id, True)
    assert (await client.run(run.run_id)).status == "success"
    assert [delivery.body for delivery in target.deliveries] == [b'{"test":"hello"}']


async def test_a_key_names_an_intent(client: Client, target: Target) -> None:
    """Another key for the same preview is refused, and the refusal names the run."""
    preview = await client.preview("webhook.save", url=target.url)
    run = await client.execute(preview, key='"order"\\1')
    assert (await client.execute(preview, key='"order"\\1')).run_id == run.run_id
    with pytest.raises(PreviewAlreadyExecuted) as refused:
        await client.execute(preview, key="order-2")
    assert refused.value.run_id == run.run_id
    assert refused.value.request_id
    assert len(target.deliveries) == 1


async def test_bytes_that_the_caller_wrote_are_sent(client: Client, target: Target) -> None:
    """`msgspec.Raw` keeps what any encoder would write in another way."""
    body = b'{"amount":  1.10, "name": "\\u00e9", "amount": 1E400}'
    preview = await client.preview("webhook.save", url=target.url, body=msgspec.Raw(body))
    assert body in bytes(preview.params)
    await client.execute(preview)
    assert [delivery.body for delivery in target.deliveries] == [body]


async def test_wrong_params_are_named(client: Client, target: Target) -> None:
    with pytest.raises(InvalidParams) as refused:
        await client.preview("webhook.save", url=target.url, colour="red")
    assert [error.pointer for error in refused.value.errors] == ["/params/colour"]
    assert "/params/colour" in str(refused.value)
    assert refused.value.status == 422


async def test_a_run_that_failed_is_returned(client: Client, target: Target) -> None:
    """An answer of the target is no refusal of Relay."""
    target.answer = status(500, b"broken")
    run = await client.execute(await client.preview("webhook.save", url=target.url))
    assert (run.status, run.unknown) == ("failed", False)
    with pytest.raises(RunFailed, match="The target answered 500") as failed:
        run.raise_for_status()
    assert failed.value.run is run


async def test_act_asks_before_it_executes(client: Client, target: Target) -> None:
    """What is declined is not sent, and its preview can still be executed."""
    shown: list[Preview] = []

    def approve(preview: Preview) -> bool:
        shown.append(preview)
        return len(shown) > 1

    with pytest.raises(Declined) as declined:
        await client.act("webhook.save", approve=approve, url=target.url)
    assert target.deliveries == []
    run = await client.act("webhook.save", approve=approve, url=target.url)
    assert run.preview_id == shown[1].preview_id
    assert (await client.execute(declined.value.preview)).replayed is False
    assert len(target.deliveries) == 2


async def test_a_list_is_read_page_by_page(client: Client, target: Target) -> None:
    """Also where it ends with a full page."""
    made = [
        (await client.execute(await client.preview("webhook.save", url=target.url))).run_id
        for _ in range(4)
    ]

    async def all_are_listed() -> bool:
        return [run.run_id async for run in client.runs(limit=2, status="success")] == made[::-1]

    await until(all_are_listed)  # the audit ships them to the database
    assert [run async for run in client.runs(status="unknown")] == []


async def test_the_params_of_an_action_have_a_schema(client: Client) -> None:
    action, *_ = await client.actions()
    assert (action.name, action.enabled) == ("webhook.save", True)
    assert action.params["$ref"] == "#/$defs/WebhookParams"


async def test_a_run_without_an_answer_says_so(client: Client, target: Target) -> None:
    """It is returned, and raised only for a caller that asks for it."""
    target.answer = reset
    run = await client.execute(await client.preview("webhook.save", url=target.url))
    assert run.unknown
    with pytest.raises(RunUnknown, match=f"The run {run.run_id} is unknown"):
        run.raise_for_status()


async def test_an_http_client_of_the_caller_is_used_and_left_open(
    relay: httpx2.AsyncClient,
) -> None:
    """It may have a proxy, or certificates of its own."""
    url = str(relay.base_url)
    async with httpx2.AsyncClient() as http:
        async with AsyncRelay(url, http=http) as awaiting:
            names = [action.name for action in await awaiting.actions()]
        assert not http.is_closed
    with httpx2.Client() as http_waits:
        with Relay(url, http=http_waits) as waiting:
            assert [it.name for it in await asyncio.to_thread(waiting.actions)] == names
        assert not http_waits.is_closed


@pytest.mark.parametrize("url", ["", "rly_live_1234", "ftp://host", "http://?q", "http://u:p@host"])
@pytest.mark.parametrize("client_of", [Relay, AsyncRelay])
def test_a_wrong_url_is_refused_without_showing_it(
    url: str, client_of: type[Relay] | type[AsyncRelay]
) -> None:
    """It may be a key in the wrong place."""
    with pytest.raises(ValueError, match="URL of a gateway") as refused:
        client_of(url)
    assert not url or url not in str(refused.value)


@pytest.mark.parametrize("key", ["secret\n", "s\u00e9cret", " secret"])
def test_a_wrong_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="An API key has visible") as refused:
        Relay("http://host", key)
    assert "cret" not in str(refused.value)


def test_the_environment_names_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_URL", "http://host:8000")
    with Relay() as relay:
        assert repr(relay) == "Relay('http://host:8000')"


async def test_a_client_shows_no_key() -> None:
    with Relay("http://host/relay/", "rly_live_secret") as waiting:
        assert repr(waiting) == "Relay('http://host/relay')"
    async with AsyncRelay("http://host", "rly_live_secret") as awaiting:
        assert repr(awaiting) == "AsyncRelay('http://host')"
