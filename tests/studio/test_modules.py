"""The pure modules of Studio, imported into a page and asked with tables."""

from hashlib import sha256
from random import Random
from typing import Any

import pytest
from playwright.async_api import Page

from gateway.effects import Effect
from gateway.studio.pages import web
from tests.support.browsing import Watched
from tests.support.keyed import Keyed


@pytest.fixture
async def page(keyed: Keyed, watched: Watched) -> Page:
    opened = await watched.page()
    await opened.goto("/studio/approvals")
    return opened


async def ask(page: Page, module: str, expression: str, given: Any) -> Any:
    """`expression` is a function of the module `m` and what is given."""
    address = f"/studio/a/{web().version}/{module}.js"
    return await page.evaluate(
        f"async ([address, given]) => ({expression})(await import(address), given)",
        [address, given],
    )


HIDDEN = {
    "\u202e": "202E",
    "\u200b": "200B",
    "\u00a0": "A0".zfill(4),
    "\ufeff": "FEFF",
    "\u3164": "3164",
    "\ufe0f": "FE0F",
    "\U000e0041": "E0041",
    "\t": "0009",
    "\r": "000D",
    "\u2028": "2028",
}


async def test_hidden_characters_are_named(page: Page) -> None:
    """Letters of any script, digits, marks and the usual space are not."""
    found = await ask(page, "views/common", "(m, it) => it.map((t) => m.parts(t))", list(HIDDEN))
    assert [[part["code"] for part in parts] for parts in found] == [[it] for it in HIDDEN.values()]
    plain = ["a b", "\u05d0\u0627", "\u4e2d", "e\u0301", "\U0001f600", "~!"]
    found = await ask(page, "views/common", "(m, it) => it.map((t) => m.parts(t))", plain)
    assert found == [[{"text": it, "code": ""}] for it in plain]


@pytest.mark.parametrize("text", ["", "\n", "a", "a\n", "a\n\nb", "x" * 1200, "\U0001f600" * 700])
async def test_rows_hold_the_whole_text(page: Page, text: str) -> None:
    """In rows of at most 501 units; no pair of surrogates is cut."""
    found = await ask(page, "bytes", "(m, it) => m.rows(it)", text)
    assert "".join(found) == text
    assert all(len(it.encode("utf-16-le")) // 2 <= 501 for it in found)
    assert all(it for it in found)


LETTERS = 'aZ0 \t\n\r\u00e9\u05d0\u202e\u200b\u2028\u4e2d\U0001f600\U000e0041"\\'


def generated(random: Random) -> Effect:
    """With names that look like numbers, and bodies of up to 256 KiB."""
    names = [str(random.randrange(99)) if random.random() < 0.5 else f"X-{i}" for i in range(6)]
    headers = {it: "".join(random.choices("ab 1;=\u00e9", k=9)) for it in names}
    size = random.choice((0, 1, 30, 499, 500, 501, 2000, 60_000))
    body = "".join(random.choices(LETTERS, k=size)).encode()
    url, method = "https://bank.example/a?b=c", random.choice(("POST", "PUT", "DELETE"))
    return Effect(method=method, url=url, headers=headers, body=body, summary="")


async def test_the_digest_is_that_of_the_gateway(page: Page) -> None:
    """For 200 generated requests, read back from rows in the document."""
    from_rows = """async (m, given) => {
      const read = (text) => {
        const element = document.createElement("div");
        m.show(element, text);
        return m.textOf(element);
      };
      return Promise.all(given.map(([head, body]) => m.digest(read(head), read(body), false)));
    }"""
    random = Random(7)
    effects = [generated(random) for _ in range(200)]
    given = [[it.head, (it.body or b"").decode()] for it in effects]
    assert await ask(page, "bytes", from_rows, given) == [it.digest for it in effects]


async def test_a_digest_of_base64_is_that_of_its_bytes(page: Page) -> None:
    found = await ask(page, "bytes", "(m, it) => m.digest('h', it, true)", "AP+A")
    assert found == f"sha256:{sha256(bytes((0x68, 0, 255, 128))).hexdigest()}"


SAFE = {
    "https://a.example/": True,
    "http://a.example/": True,
    "/studio/runs": True,
    "//evil.example": False,
    "/\\evil.example": False,
    "javascript:alert(1)": False,
    " javascript:alert(1)": False,
    "data:text/html,x": False,
    "": False,
}


async def test_links_lead_to_pages_alone(page: Page) -> None:
    found = await ask(
        page, "views/common", "(m, it) => it.map((a) => m.safe(a) !== null)", list(SAFE)
    )
    assert found == list(SAFE.values())


SPANS = {0: "0 seconds", 1: "1 second", 59: "59 seconds", 60: "1 minute", 3599: "59 minutes"}
SPANS |= {3600: "1 hour", 86_399: "23 hours", 86_400: "1 day", 172_800: "2 days"}


async def test_times_are_in_words(page: Page) -> None:
    found = await ask(page, "api", "(m, it) => it.map(m.span)", list(SPANS))
    assert found == list(SPANS.values())
