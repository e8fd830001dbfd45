"""Whatever is sent, the answer is a refusal that says what and where; never a 500."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from msgspec import Raw

from gateway.actions.registry import registered
from gateway.egress.client import open_egress
from gateway.egress.guard import Guard
from gateway.execution.engine import Engine
from gateway.execution.runner import Runner
from gateway.http.requests import BODY_MAX
from gateway.problems import ProviderNotConfigured
from stores.redis.client import Store
from stores.redis.previews import Previews
from stores.redis.runs import Runs
from tests.api.test_endpoints import problem
from tests.support.approvals import unasked
from tests.support.credentials import credentials
from tests.support.engines import ASKING
from tests.support.gateways import Relay, unsigned
from tests.support.target import Target

JSON = {"Content-Type": "application/json"}
URL = "https://127.0.0.1:1/"  # of no interest: refused before anybody would dial

NAMES = registered(webhook_url=None, providers={})


def preview_with(params: str) -> bytes:
    return f'{{"action": "webhook.save", "params": {params}}}'.encode()


async def post(relay: Relay, path: str, body: bytes) -> httpx2.Response:
    return await relay.post(path, content=body, headers=JSON)


MALFORMED_PREVIEWS = {
    "NaN": preview_with('{"body": NaN}'),
    "infinity": preview_with('{"body": -Infinity}'),
    "cut": b'{"action": "webhook.save"',
    "bad utf-8": preview_with('{"body": "X"}').replace(b"X", b"\xc3\x28"),
    "surrogate in utf-8": preview_with('{"body": "X"}').replace(b"X", b"\xed\xa0\x80"),
    "surrogate": preview_with(r'{"body": "\ud800"}'),
    "surrogate in a url": preview_with(r'{"url": "\ud800"}'),
    "surrogate in a name": preview_with(r'{"headers": {"\udc00": ""}}'),
    "control": preview_with('{"body": "a\nb"}'),
    "deep params": preview_with("[" * 100_000 + "]" * 100_000),
    "deep body": preview_with('{"body": ' + '{"a":' * 40_000 + "1" + "}" * 40_000 + "}"),
}
MALFORMED_EXECUTES = {
    "empty": b"",
    "word": b"hello",
    "two": b'{"preview_id": "x"} {"preview_id": "x"}',
    "comma": b'{"preview_id": "x",}',
    "single quotes": b"{'preview_id': 'x'}",
    "bad utf-8": b'{"preview_id": "\xff"}',
    "utf-16": '{"preview_id": "x"}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + b'{"preview_id": "x"}',
    "null byte": b'{"preview_id": "\x00"}',
    "surrogate": rb'{"preview_id": "\ud800"}',
}

# Path, body, pointer.
OF_ANOTHER_FORM = [
    ("preview", "[]", ""),
    ("preview", "null", ""),
    ("preview", '"text"', ""),
    ("preview", "3", ""),
    ("preview", "[" * 100_000, ""),
    ("preview", "{}", "/action"),
    ("preview", '{"params": {}}', "/action"),
    ("preview", '{"action": "webhook.save"}', "/params"),
    ("preview", '{"action": 1, "params": {}}', "/action"),
    ("preview", '{"action": null, "params": {}}', "/action"),
    ("preview", '{"action": "webhook.save", "params": {}, "dry_run": true}', "/dry_run"),
    ("preview", '{"action": "webhook.save", "parms": {}}', "/parms"),
    ("execute", "{}", "/preview_id"),
    ("execute", "[]", ""),
    ("execute", '{"preview_id": null}', "/preview_id"),
    ("execute", '{"preview_id": 1}', "/preview_id"),
    ("execute", '{"preview_id": ["x"]}', "/preview_id"),
    ("execute", '{"preview_id": "x", "params": {}}', "/params"),
    ("execute", '{"previewId": "x"}', "/previewId"),
    ("execute", '{"preview_id": "x", "a/b~c": 1}', "/a~1b~0c"),
]

# Params, pointer.
BAD_PARAMS = [
    ("null", "/params"),
    ("[]", "/params"),
    ('"text"', "/params"),
    ("{}", "/params/url"),
    ('{"url": 1}', "/params/url"),
    ('{"url": null}', "/params/url"),
    (f'{{"url": "{URL}", "boddy": {{}}}}', "/params/boddy"),
    (f'{{"url": "{URL}", "method": "BREW"}}', "/params/method"),
    (f'{{"url": "{URL}", "headers": {{"Host": "x"}}}}', "/params/headers/Host"),
    (f'{{"url": "{URL}", "headers": {{"a/b": "x"}}}}', "/params/headers/a~1b"),
    (f'{{"url": "{URL}", "headers": {{"X-A": "a\\r\\nB: c"}}}}', "/params/headers/X-A"),
    (f'{{"url": "{URL}", "headers": {{"X-A": "\\u0000"}}}}', "/params/headers/X-A"),
    (f'{{"url": "{URL}", "headers": ["x"]}}', "/params/headers"),
]


async def test_what_is_not_json(relay: Relay, subtests: pytest.Subtests) -> None:
    """400 malformed_json, also where only a param is at fault."""
    for path, bodies in (("preview", MALFORMED_PREVIEWS), ("execute", MALFORMED_EXECUTES)):
        for name, body in bodies.items():
            with subtests.test(name, path=path):
                response = await post(relay, f"/actions/{path}", body)
                problem(response, 400, "malformed_json")


async def test_json_of_another_form(relay: Relay, subtests: pytest.Subtests) -> None:
    """400 invalid_request, with a pointer to the field; a missing preview_id too."""
    for path, body, pointer in OF_ANOTHER_FORM:
        with subtests.test(body[:60], path=path):
            response = await post(relay, f"/actions/{path}", body.encode())
            [error] = problem(response, 400, "invalid_request")["errors"]
            assert error["pointer"] == pointer
            assert error["detail"]


async def test_params_the_action_does_not_take(relay: Relay, subtests: pytest.Subtests) -> None:
    """422 invalid_params, with a pointer below /params."""
    for params, pointer in BAD_PARAMS:
        with subtests.test(params):
            response = await post(relay, "/actions/preview", preview_with(params))
            [error] = problem(response, 422, "invalid_params")["errors"]
            assert error["pointer"] == pointer
            assert error["detail"]


async def test_an_unknown_action(relay: Relay, subtests: pytest.Subtests) -> None:
    """422, and the names that there are; the one that was sent is not repeated."""
    for name in ("", "webhook", "webhook.save ", "Webhook.save", "\x00", "a" * 9999):
        with subtests.test(repr(name[:40])):
            response = await relay.post("/actions/preview", json={"action": name, "params": {}})
            body = problem(response, 422, "unknown_action")
            assert body["detail"] == f"The action is one of: {', '.join(NAMES)}."


async def test_a_target_the_guard_refuses(relay: Relay, subtests: pytest.Subtests) -> None:
    """422 target_forbidden, for every kind of no; nothing is kept."""
    for url in (
        "",
        "x",
        "ftp://a.org/",
        "https://10.0.0.1/",
        "https://a..org/",
        "https://a.org../",
        "https://a.org:65536/",
        "http://:99999999999/",
    ):
        with subtests.test(url):
            problem(await relay.preview(url), 422, "target_forbidden")


async def test_the_content_type(relay: Relay, subtests: pytest.Subtests) -> None:
    """application/json, with or without parameters; anything else is 415."""
    body = b'{"preview_id": "x"}'
    for kind in ("application/json", "APPLICATION/JSON", "application/json ; charset=utf-8"):
        with subtests.test(kind):
            headers = {"Content-Type": kind}
            response = await relay.post("/actions/execute", content=body, headers=headers)
            problem(response, 404, "preview_not_found")
    for kind in (
        "",
        "text/plain",
        "application/jsonp",
        "application/x-www-form-urlencoded",
        "json",
    ):
        with subtests.test(kind):
            headers = {"Content-Type": kind} if kind else {}
            response = await relay.post("/actions/execute", content=body, headers=headers)
            problem(response, 415, "unsupported_media_type")


async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


async def test_the_size_of_a_body(relay: Relay, subtests: pytest.Subtests) -> None:
    """256 KiB are taken, a byte more is 413; with a length and in chunks."""
    for size, status in ((BODY_MAX, 404), (BODY_MAX + 1, 413), (300 * 1024, 413)):
        body = b'{"preview_id": "x"}'.ljust(size)
        for content in (body, in_chunks(body)):
            with subtests.test(size=size, chunked=content is not body):
                response = await relay.post("/actions/execute", content=content, headers=JSON)
                code = "body_too_large" if status == 413 else "preview_not_found"
                problem(response, status, code)
    assert BODY_MAX == 256 * 1024


async def test_an_action_without_its_provider(store: Store, target: Target) -> None:
    """501 before its params are looked at; it is listed as not enabled."""
    action = registered(webhook_url=None, providers={})["webhook.save"]
    values: dict[str, Any] = {name: getattr(action, name) for name in action.__struct_fields__}
    off = type(action)(**{**values, "enabled": False})
    async with open_egress(Guard(), unsigned) as egress:
        runs = Runs(store.scripts)
        runner = Runner(
            runs=runs,
            egress=egress,
            credentials=credentials(),
            action_timeout=timedelta(seconds=1),
            approvals=unasked(store.scripts),
        )
        engine = Engine(
            actions={off.name: off},
            egress=egress,
            previews=Previews(store.scripts),
            runs=runs,
            run_endings=store.run_endings,
            runner=runner,
        )
        with pytest.raises(ProviderNotConfigured, match="independent"):
            await engine.preview(ASKING, "webhook.save", Raw(b"null"))
