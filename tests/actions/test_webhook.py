"""The action `webhook.save` turns params into an effect."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.actions.action import BadParams
from gateway.actions.registry import registered
from gateway.actions.webhook import webhook_save
from gateway.effects import Effect
from gateway.version import VERSION
from tests.support.effects import effect_of

URL = "https://example.org/hook"
ACTION = webhook_save(default_url=None)

PLAIN = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "User-Agent": f"relay-gateway/{VERSION}",
}


def effect(params: str | dict[str, Any]) -> Effect:
    text = params if isinstance(params, str) else json.dumps({"url": URL, **params})
    return effect_of(ACTION, text)


def refused(params: str | dict[str, Any]) -> BadParams:
    with pytest.raises(BadParams) as caught:
        effect(params)
    return caught.value


def test_webhook_save_is_registered() -> None:
    """It has a name, provider and title, and needs no configured provider."""
    action = registered(webhook_url=None, providers={})["webhook.save"]
    assert (action.name, action.provider) == ("webhook.save", "independent")
    assert action.title == "Send JSON to a URL"
    assert action.enabled


def test_a_url_is_enough() -> None:
    """The method is POST, without a body and with our default headers only."""
    made = effect({})
    assert made == Effect(
        method="POST",
        url=URL,
        headers=PLAIN,
        body=None,
        summary=f"POST {URL} with no body",
    )


def test_the_body_is_kept_byte_for_byte() -> None:
    """Spaces, escapes, digits and duplicate names stay; a body adds its content type."""
    body = '{"a":  1.50, "b": "h\\u00e9", "a": [ ]}'
    made = effect(f'{{"url": "{URL}", "body": {body}}}')
    assert made.body == body.encode()
    assert made.headers == {**PLAIN, "Content-Type": "application/json"}
    assert made.summary == f"POST {URL} with {len(body)} bytes of JSON"


@pytest.mark.parametrize("body", ["null", "false", "0", '""', "{}", "[]", '"héllo"'])
def test_any_json_is_a_body(body: str) -> None:
    """Falsy JSON too: `null` is sent as null."""
    assert effect(f'{{"url": "{URL}", "body": {body}}}').body == body.encode()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
def test_the_methods(method: str) -> None:
    """The five methods are spelled in upper case."""
    made = effect({"method": method})
    assert made.method == method
    assert made.summary.startswith(f"{method} ")


@pytest.mark.parametrize("method", ["post", "HEAD", "OPTIONS", "CONNECT", "TRACE", "", "GET "])
def test_other_methods_are_refused(method: str) -> None:
    """The pointer names the method."""
    assert refused({"method": method}).pointer == "/method"


def test_webhook_url_is_the_default_target() -> None:
    """The url of the params wins; an empty url is not a missing one."""
    action = webhook_save(default_url="https://example.org/default")
    assert effect_of(action, {}).url == "https://example.org/default"
    assert effect_of(action, {"url": URL}).url == URL
    assert effect_of(action, {"url": ""}).url == ""


def test_without_any_url_the_url_is_missing() -> None:
    """The problem points to the field and names the variable."""
    error = refused("{}")
    assert error.pointer == "/url"
    assert "WEBHOOK_URL" in str(error)


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"boddy": {"test": "hello"}}, "/boddy"),
        ({"Body": 1}, "/Body"),
        ({"data": 1}, "/data"),
        ({"url": 1}, "/url"),
        ({"url": None}, "/url"),
        ({"headers": []}, "/headers"),
        ({"headers": {"X-A": 1}}, "/headers"),
        ({"headers": None}, "/headers"),
        ({"method": 1}, "/method"),
        ("[]", ""),
        ("null", ""),
        ('"text"', ""),
    ],
)
def test_malformed_params_are_refused(params: Any, pointer: str) -> None:
    """A misspelt `body` is an error, not an empty send; each error has its pointer."""
    assert refused(params).pointer == pointer


@pytest.mark.parametrize(
    ("params", "warnings"),
    [
        ({"body": {}}, 0),
        ({"method": "GET"}, 0),
        ({"method": "GET", "body": {}}, 1),
        ({"headers": {"Authorization": "Bearer x"}}, 1),
        ({"headers": {"cookie": "a=b"}}, 1),
        ({"headers": {"X-API-Key": "x", "Authorization": "y"}}, 2),
        ({"headers": {"X-Custom": "x"}}, 0),
    ],
)
def test_risky_params_have_warnings(params: dict[str, Any], warnings: int) -> None:
    """A GET with a body, and each credential that the preview will show."""
    made = effect(params)
    assert len(made.warnings) == warnings
    for name in params.get("headers", {}) if warnings else ():
        assert any(name in warning for warning in made.warnings)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["url", "method", "headers", "body"]), json_values))
def test_it_is_pure_and_total(params: dict[str, Any]) -> None:
    """The same params have equal effects, or the same error; nothing else happens."""
    text = Raw(json.dumps(params).encode())
    results: list[Any] = []
    for _ in range(2):
        try:
            results.append(effect_of(ACTION, text))
        except BadParams as error:
            results.append((error.pointer, str(error)))
    assert results[0] == results[1]
