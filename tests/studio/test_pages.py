"""What is served: under which addresses, with which headers, in which size."""

import gzip
import posixpath
import re
from collections.abc import Mapping

import pytest

from gateway.studio.pages import web
from tests.support.gateways import Relay, gateway
from tests.support.valkey import Valkey

# Types are in comments that start like this one: /** @param ... */
TYPES = re.compile(rb"[ \t]*/\*\*(?:(?!\*/).)*\*/\n?", re.DOTALL)
VENDOR = "vendor/lit-html/"
# What gives text of others to the parser of HTML, or to a script.
SINKS = r"unsafeHTML|innerHTML|outerHTML|insertAdjacentHTML|srcdoc|\beval\(|new Function|style="


def rules(headers: Mapping[str, str]) -> dict[str, str]:
    found = (it.strip().partition(" ") for it in headers["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in found}


def own() -> dict[str, str]:
    texts = web().files.items()
    return {name: text.decode() for name, text in texts if not name.startswith(VENDOR)}


async def test_every_path_of_studio_is_the_page(relay: Relay) -> None:
    for path in ("/studio", "/studio/approvals", "/studio/approvals/5", "/studio/x/y"):
        answer = await relay.get(path)
        assert (answer.status_code, answer.content) == (200, web().page)
        assert answer.headers["Cache-Control"] == "no-cache"


async def test_the_page_is_sent_once_a_version(relay: Relay) -> None:
    tag = (await relay.get("/studio")).headers["ETag"]
    assert (await relay.get("/studio", headers={"If-None-Match": tag})).status_code == 304
    assert (await relay.get("/studio", headers={"If-None-Match": '"other"'})).status_code == 200


async def test_the_policy_allows_relay_alone(relay: Relay) -> None:
    headers = (await relay.get("/studio")).headers
    found = rules(headers)
    assert found["default-src"] == found["base-uri"] == found["frame-ancestors"] == "'none'"
    assert found["script-src"] == found["style-src"] == found["connect-src"] == "'self'"
    assert found["require-trusted-types-for"] == "'script'"
    assert found["trusted-types"] == "lit-html relay-worker"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_files_stay_with_browsers(relay: Relay) -> None:
    """Under their hash; under another one they are not there."""
    for name in (name for name in web().files if name.endswith((".js", ".css"))):
        answer = await relay.get(f"/studio/a/{web().version}/{name}")
        assert (answer.status_code, answer.content) == (200, web().files[name])
        assert "immutable" in answer.headers["Cache-Control"]
    for path in ("0/main.js", f"{web().version}/index.html", f"{web().version}/..%2fpages.py"):
        assert (await relay.get(f"/studio/a/{path}")).status_code == 404


async def test_without_studio_browsers_get_the_reference(valkey: Valkey) -> None:
    async with gateway(valkey.url, studio_enabled=False) as relay:
        answer = await relay.get("/", headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["Location"]) == (307, "docs")
        assert (await relay.get("/studio")).status_code == 404


async def test_a_browser_is_led_to_studio(relay: Relay) -> None:
    answer = await relay.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Location"]) == (307, "studio/approvals")
    assert (await relay.get("/")).status_code == 404


def needs(name: str) -> set[str]:
    """A script and those that it imports at its start."""
    found, waiting = set[str](), {name}
    while waiting:
        found |= waiting
        imports = {(it, TYPES.sub(b"", web().files[it]).decode()) for it in waiting}
        waiting = {
            posixpath.normpath(posixpath.join(posixpath.dirname(it), other))
            for it, text in imports
            for other in re.findall(r'from\s*"(\.[^"]+)"', text)
        } - found
    return found


def test_the_page_names_what_its_start_imports() -> None:
    """A browser asks for all of it at once instead of one import after another."""
    named = re.findall(rb'"modulepreload" href="/studio/a/\w+/([^"]+)"', web().page)
    assert len(named) > 5
    assert {it.decode() for it in named} == needs("main.js") - {"main.js"}


def test_studio_is_small() -> None:
    """What is served has 150 kB without types, and a page 45 kB gzip, types and all. Scripts have
    up to 200 lines, styles 300.
    """
    assert sum(len(TYPES.sub(b"", it)) for it in web().files.values()) < 150_000
    for screen in (it for it in web().files if it.startswith("views/")):
        page = {"index.html", "style.css", "paint.js"} | needs("main.js") | needs(screen)
        assert sum(len(gzip.compress(web().files[it])) for it in page) < 45_000, screen
    for name, text in own().items():
        assert len(text.splitlines()) <= (300 if name.endswith(".css") else 200), name


def test_no_text_becomes_html() -> None:
    assert {name for name, text in own().items() if re.search(SINKS, text)} == set()


@pytest.mark.parametrize("text", ["a.innerHTML = b", "html`<p style=${x}>`", "unsafeHTML(x)"])
def test_what_would_become_html_is_found(text: str) -> None:
    assert re.search(SINKS, text)
