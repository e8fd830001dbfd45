"""Actions are tried in a form that comes from their JSON Schema, and are sent once."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from playwright.async_api import Page, expect

from gateway.actions.action import Action, BadParams, Connection
from gateway.effects import Effect
from tests.support.browsing import Watched, chromium, sign_in
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.postgres import free_port
from tests.support.target import Target, listening
from tests.support.valkey import Valkey

FORM = "/studio/actions/webhook.save"


class Params(Struct, kw_only=True, forbid_unknown_fields=True):
    """A member of each kind that forms know."""

    choice: Literal["one", "two"]
    text: Annotated[str, Meta(description="Any words")]
    integer: Annotated[int, Meta(ge=1, le=9)] = 3
    switch: bool = True
    rows: dict[str, str] = {}
    anything: Raw | UnsetType = UNSET
    other: list[int] | None = None


def refused(_params: Params, _seed: str, _connection: Connection | None) -> Effect:
    raise BadParams("/rows/a~1b", "This name is not allowed.")


def action(provider: str, *, enabled: bool = True) -> Action[Params]:
    name, title = f"{provider}.try", f"Try {provider}"
    given: dict[str, Any] = {"params": Params, "prepare": refused, "enabled": enabled}
    return Action(name=name, provider=provider, title=title, **given)


async def filled(page: Page, keyed: Keyed, url: str, body: str = "", method: str = "PUT") -> None:
    """The form of a preview that no rule holds, sent."""
    await sign_in(page, keyed.admin, FORM)
    await page.get_by_label("url").fill(url)
    await page.get_by_label("method").select_option(method)
    await page.get_by_label("body").fill(body)
    await page.get_by_role("button", name="Preview").click()


async def test_an_action_is_tried_with_the_bytes_as_typed(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    """From the form to the receiver. A double click, back and a reload send nothing again."""
    typed = '{"a": 1.0, "a": 12345678901234567890}'
    page = await watched.page()
    await filled(page, keyed, target.url, typed)
    await expect(page.locator("#body")).to_have_text(typed)
    await expect(page.locator("#digest")).to_contain_text("is what is shown here")
    path = page.url
    await page.locator("#execute").dblclick()
    heading = page.get_by_role("heading", level=1)
    await expect(heading).to_have_text("Sent once; the target answered 200")
    await page.go_back()
    await expect(heading).to_have_text("Executed")
    await page.goto(path)
    await expect(heading).to_have_text("Executed")
    assert [it.body.decode() for it in target.deliveries] == [typed]


async def test_a_reload_keeps_the_key(keyed: Keyed, watched: Watched) -> None:
    """Made once, shown, and in the address; after a 502 it is sent again, and sends once."""
    page, port, keys = await watched.page(), free_port(), []
    page.on("request", lambda it: keys.append(it.headers.get("idempotency-key")))
    await filled(page, keyed, f"http://127.0.0.1:{port}/hook", "1")
    key = await page.locator("#key").text_content()
    assert str(key) in page.url
    await page.locator("#execute").click()
    await expect(page.locator("#not-sent")).to_contain_text("Not sent. Execute uses the same key")
    await page.reload()
    await expect(page.locator("#key")).to_have_text(str(key))
    async with listening(port=port) as target:
        await page.locator("#execute").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Sent once")
        assert len(target.deliveries) == 1
    assert {it for it in keys if it} == {key}


async def test_every_schema_of_the_registry_has_a_form(keyed: Keyed, watched: Watched) -> None:
    page = await watched.page()
    await sign_in(page, keyed.admin)
    for name in keyed.state["engine"].actions:
        await page.goto(f"/studio/actions/{name}")
        schema = (await page.evaluate("fetch('/actions').then((it) => it.json())"))["actions"]
        (params,) = [it["params"] for it in schema if it["name"] == name]
        for member in params["$defs"][params["$ref"].rpartition("/")[2]]["properties"]:
            await expect(page.locator(f"#param-{member}")).to_be_attached()


async def test_each_kind_of_member_has_its_control(keyed: Keyed, watched: Watched) -> None:
    """And what is typed becomes the text of the request."""
    keyed.state["engine"].actions["acme.try"] = action("acme")
    page, sent = await watched.page(), []
    page.on(
        "request", lambda it: sent.append(it.post_data) if it.url.endswith("/preview") else None
    )
    await sign_in(page, keyed.admin, "/studio/actions/acme.try")
    await page.get_by_label("choice").select_option("two")
    text = page.get_by_label("text")
    await text.fill('"\u202e')
    assert await text.get_attribute("aria-describedby") == "param-text-help"
    await expect(page.locator("#param-integer")).to_have_attribute("max", "9")
    await page.get_by_label("integer").fill("7")
    await page.get_by_label("switch").uncheck()
    for name, value in (("7", "a"), ("B", "b"), ("3", "")):
        await page.get_by_role("button", name="Add a row to rows").click()
        await page.get_by_label("rows, name").last.fill(name)
        await page.get_by_label("rows, value").last.fill(value)
    await page.get_by_role("button", name="Remove row 2 of rows").click()
    await page.get_by_label("anything").fill('{"a": 1.0,  "b": 1e2}')
    await page.get_by_label("other").fill("[1, 2]")
    await page.get_by_role("button", name="Preview").click()
    await expect(page.locator("#param-rows-error")).to_have_text("a/b: This name is not allowed.")
    assert sent == [
        '{"action":"acme.try","params":{"choice":"two","text":"\\"\u202e","integer":7,'
        '"switch":false,"rows":{"7":"a","3":""},'
        '"anything":{"a": 1.0,  "b": 1e2},"other":[1, 2]}}'
    ]


@pytest.mark.parametrize(
    ("label", "text", "error"),
    [
        ("text", "", "This is required."),
        ("choice", "", "This is required."),
        ("integer", "0", "The least is 1."),
        ("integer", "10", "The most is 9."),
        ("integer", "1.5", "This is not a whole number."),
        ("anything", "{", "This is not JSON."),
        ("anything", '1, "text": "other"', "This is not JSON."),
        ("anything", "01", "This is not JSON."),
    ],
)
async def test_what_cannot_be_meant_is_not_sent(
    keyed: Keyed, watched: Watched, label: str, text: str, error: str
) -> None:
    """The field says so, the summary leads to it and has the focus."""
    keyed.state["engine"].actions["acme.try"] = action("acme")
    page, sent = await watched.page(), []
    page.on("request", lambda it: sent.append(it) if it.url.endswith("/preview") else None)
    await sign_in(page, keyed.admin, "/studio/actions/acme.try")
    await page.get_by_label("text").fill("words")
    if label != "choice":
        await page.get_by_label("choice").select_option("one")
        await page.get_by_label(label).fill(text)
    await page.get_by_role("button", name="Preview").click()
    await expect(page.locator(f"#param-{label}-error")).to_have_text(error)
    await expect(page.locator("#summary")).to_be_focused()
    described = await page.get_by_label(label).get_attribute("aria-describedby")
    assert f"param-{label}-error" in str(described)
    await page.locator("#summary a").click()
    await expect(page.get_by_label(label)).to_be_focused()
    assert sent == []


async def test_a_refusal_stands_at_its_field(keyed: Keyed, watched: Watched) -> None:
    page = await watched.page()
    await sign_in(page, keyed.admin, FORM)
    await page.get_by_role("button", name="Preview").click()
    await expect(page.locator("#summary")).to_be_focused()
    await expect(page.locator("#param-url-error")).to_contain_text("url")


async def test_raw_json_is_sent_as_it_is_typed(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    """It starts with what the form holds, and what is wrong in it is not sent."""
    page = await watched.page()
    await sign_in(page, keyed.admin, FORM)
    await page.get_by_label("url").fill(target.url)
    await page.get_by_label("Raw JSON").check()
    raw = page.get_by_label("params", exact=True)
    await expect(raw).to_have_value(f'{{"url":"{target.url}","method":"POST"}}')
    await raw.fill("{")
    await page.get_by_role("button", name="Preview").click()
    await expect(page.locator("#summary")).to_contain_text("This is not JSON.")
    await raw.fill(f'{{"url": "{target.url}", "method": "PUT", "body":  1.00 }}')
    await page.get_by_role("button", name="Preview").click()
    await expect(page.locator("#body")).to_have_text("1.00")


async def test_what_is_not_configured_stands_last(keyed: Keyed, watched: Watched) -> None:
    """It is met before a form is filled, and its form is read-only."""
    actions = keyed.state["engine"].actions
    given = actions["webhook.save"]
    actions.clear()
    actions.update({"acme.try": action("acme", enabled=False), given.name: given})
    page = await watched.page()
    await sign_in(page, keyed.admin, "/studio/actions")
    last = page.get_by_role("main").get_by_role("listitem").last
    await expect(last).to_contain_text("Acme is not configured here.")
    await expect(last.get_by_role("link", name="Connections")).to_be_visible()
    await last.get_by_role("link", name="Try acme").click()
    await expect(page.get_by_text("Acme is not configured here.")).to_be_visible()
    await expect(page.get_by_label("text")).to_be_disabled()
    await expect(page.get_by_role("button", name="Preview")).to_be_disabled()


async def test_a_held_preview_leads_to_its_approval(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    page = await watched.page()
    await filled(page, keyed, target.url, method="POST")
    await page.wait_for_url("**/studio/approvals/*")
    await expect(page.locator("#digest")).to_contain_text("is what is shown here")


async def test_a_limit_counts_down(valkey: Valkey, tmp_path: Path, target: Target) -> None:
    """The button comes back by itself."""
    given = {"preview_limit": 1}
    async with keyed_gateway(valkey.url, tmp_path / "data", **given) as keyed, chromium() as it:
        page = await Watched(it, keyed.url).page()
        await page.clock.install()
        await filled(page, keyed, target.url)
        await expect(page.locator("#execute")).to_be_visible()
        await page.goto(FORM)
        await page.get_by_label("url").fill(target.url)
        await page.get_by_role("button", name="Preview").click()
        await expect(page.locator("#countdown")).to_contain_text("You can try again in")
        await expect(page.get_by_role("button", name="Preview")).to_be_disabled()
        await page.clock.run_for(61_000)
        await expect(page.get_by_role("button", name="Preview")).to_be_enabled()
