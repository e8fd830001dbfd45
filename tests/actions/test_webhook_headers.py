"""Which headers of `webhook.save` the caller may set, and their values."""

import pytest

from tests.actions.test_webhook import PLAIN, effect, refused


@pytest.mark.parametrize(
    "name",
    """Accept-Encoding Connection Content-Length Expect Host Keep-Alive Metadata-Flavor TE Trailer
    traceparent TraceState Transfer-Encoding Upgrade webhook-id Webhook-Timestamp WEBHOOK-SIGNATURE
    X-Signature Proxy-Authorization proxy-connection X-aws-ec2-metadata-token
    X-AWS-EC2-Metadata-Token-TTL-Seconds X-Forwarded-For x-forwarded-host""".split(),
)
def test_headers_of_http_and_of_relay_are_refused(name: str) -> None:
    """In any case, with `_` for any `-`, and with a pointer to the header."""
    for spelled in (name, name.lower(), name.upper(), name.replace("-", "_"), _one_folded(name)):
        assert refused({"headers": {spelled: "x"}}).pointer == f"/headers/{spelled}"


def _one_folded(name: str) -> str:
    return name.replace("-", "_", 1)


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("X-Custom", True),
        ("x_custom", True),
        ("X_Custom", True),
        ("X_Signatures", True),
        ("Webhook_Ids", True),
        ("_Host", True),
        ("Host_", True),
        ("!#$%&'*+.^_`|~-", True),
        ("Hosts", True),
        ("X-Forward", True),
        ("Proxy", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("", False),
        ("X Custom", False),
        ("X-Custom:", False),
        ("X-Custom\n", False),
        ("X/Custom", False),
        ("Ключ", False),
        ("ſ", False),
    ],
)
def test_the_form_of_a_header_name(name: str, taken: bool) -> None:
    """A token of RFC 9110 of 1 to 128 characters."""
    if taken:
        assert effect({"headers": {name: "x"}}).headers[name] == "x"
    else:
        escaped = name.replace("/", "~1")
        assert refused({"headers": {name: "x"}}).pointer == f"/headers/{escaped}"


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("", True),
        ("a b", True),
        ("~", True),
        ("a" * 4096, True),
        ("a" * 4097, False),
        (" a", False),
        ("a ", False),
        ("a\r\nX-Other: b", False),
        ("a\n", False),
        ("a\tb", False),
        ("a\x00", False),
        ("a\x1f", False),
        ("a\x7f", False),
        ("é", False),
    ],
)
def test_the_form_of_a_header_value(value: str, taken: bool) -> None:
    """At most 4096 visible ASCII characters, and spaces only inside."""
    if taken:
        assert effect({"headers": {"X-A": value}}).headers["X-A"] == value
    else:
        assert refused({"headers": {"X-A": value}}).pointer == "/headers/X-A"


@pytest.mark.parametrize(("count", "taken"), [(64, True), (65, False)])
def test_the_number_of_headers(count: int, taken: bool) -> None:
    """64 headers are accepted, 65 are not."""
    headers = {f"X-{n}": "x" for n in range(count)}
    if taken:
        assert len(effect({"headers": headers}).headers) == count + len(PLAIN)
    else:
        assert refused({"headers": headers}).pointer == "/headers"


def test_a_header_twice_is_refused() -> None:
    """Names are case-insensitive, and `_` is `-`."""
    assert refused({"headers": {"X-A": "1", "x-a": "2"}}).pointer == "/headers"
    assert refused({"headers": {"X-A": "1", "X_A": "2"}}).pointer == "/headers"


def test_a_folded_name_does_not_slip_past_a_warning() -> None:
    """X_Api_Key is a credential as X-Api-Key is, and replaces no default of ours."""
    for name in ("X-Api-Key", "X_API_KEY", "x_api-key"):
        assert any(name in warning for warning in effect({"headers": {name: "x"}}).warnings)
    for name in ("User_Agent", "user_agent"):
        assert effect({"headers": {name: "x"}}).headers.keys() == {name, *PLAIN} - {"User-Agent"}


def test_a_header_replaces_our_default() -> None:
    """In any case, and with its own spelling; the other defaults stay."""
    given = {"user-agent": "me/1", "CONTENT-TYPE": "application/cloudevents+json", "Accept": "a/b"}
    made = effect({"headers": given, "body": {}})
    assert made.headers == {"Accept-Encoding": "identity", **given}
