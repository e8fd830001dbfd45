"""Signatures, checked with the `standardwebhooks` package and with vectors made by hand."""

import base64
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from gateway.config.settings import Settings
from gateway.signatures import sign, verify

KEY = b"0123456789abcdef0123456789abcdef"
WHSEC = f"whsec_{base64.b64encode(KEY).decode()}"
BODY = '{"test": "héllo"}'.encode()
NOW = 1_700_000_000

texts = st.text(max_size=40)
bodies = st.binary(max_size=80)


def signed(*secrets: bytes, timestamp: int = NOW, body: bytes = BODY) -> dict[str, str]:
    headers = sign(secrets, message_id="run-1", timestamp=timestamp, body=body)
    return {name.lower(): value for name, value in headers.items()}


def accepts(
    secret: bytes = KEY, *, headers: dict[str, str], body: bytes = BODY, now: float = NOW
) -> bool:
    return verify(secret, headers, body, now=now)


def flipped(data: bytes, bit: int) -> bytes:
    at = bit % (len(data) * 8)
    changed = bytearray(data)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


@pytest.mark.parametrize("body", [BODY, b"", b"{}", b'{"a":  1.50}'])
def test_the_oracle_verifies_ours(body: bytes) -> None:
    """A receiver with the Standard Webhooks library accepts our signatures."""
    headers = signed(KEY, timestamp=int(time.time()), body=body)
    Webhook(WHSEC).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(WHSEC).verify(body + b" ", headers, json_parse=False)


def test_ours_verifies_the_oracle() -> None:
    """We accept signatures of the Standard Webhooks library."""
    moment = datetime.fromtimestamp(NOW, UTC)
    signature = Webhook(WHSEC).sign("run-1", moment, BODY.decode())
    headers = {"webhook-id": "run-1", "webhook-timestamp": str(NOW), "webhook-signature": signature}
    assert accepts(headers=headers)
    assert not accepts(headers=headers, body=BODY + b" ")


def test_a_whsec_secret_is_its_base64() -> None:
    """The setting accepts the form of Standard Webhooks; the library derives the same key."""
    settings = Settings.from_env({"ACTIONS_SIGNING_SECRET": f"{WHSEC},plain"})
    newest, older = (secret.reveal() for secret in settings.signing_secrets)
    assert (newest, older) == (KEY, b"plain")
    headers = signed(newest, older, timestamp=int(time.time()))
    Webhook(WHSEC).verify(BODY, headers, json_parse=False)


def test_the_headers_by_hand() -> None:
    """Four headers with the values of `openssl dgst -sha256 -hmac key`."""
    assert sign([b"key"], message_id="run-1", timestamp=NOW, body=b'{"test": "hello"}') == {
        "webhook-id": "run-1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": "v1,WNR+3pulb2INbjo/zMZxtdVqi0KdLuNU3NN4rB2tIb8=",
        "X-Signature": "sha256=6e7c0821d59b6ba3e1f3c0c12d570c6a229a7cf89291c42b11381b0504fd9815",
    }


def test_rotation_signs_with_each_secret() -> None:
    """One signature for each secret, newest first; X-Signature holds the newest only."""
    both, new = signed(b"new", b"old"), signed(b"new")
    first, second = both["webhook-signature"].split(" ")
    assert first == new["webhook-signature"]
    assert second == signed(b"old")["webhook-signature"]
    assert both["x-signature"] == new["x-signature"] != signed(b"old")["x-signature"]
    assert accepts(b"new", headers=both)
    assert accepts(b"old", headers=both)
    assert not accepts(b"other", headers=both)


def test_without_a_secret_nothing_is_signed() -> None:
    """No signature header is sent."""
    assert sign([], message_id="run-1", timestamp=NOW, body=BODY) == {}


@pytest.mark.parametrize(
    ("seconds", "accepted"),
    [(-301, False), (-300, True), (-299, True), (0, True), (299, True), (300, True), (301, False)],
)
def test_a_timestamp_is_valid_for_five_minutes(seconds: int, accepted: bool) -> None:
    """300 s early or late are accepted, 301 s are not."""
    assert accepts(headers=signed(KEY), now=NOW + seconds) is accepted


def test_a_receiver_chooses_the_tolerance() -> None:
    """A narrower tolerance refuses what the default accepts."""
    headers = signed(KEY)
    narrow = timedelta(seconds=10)
    assert verify(KEY, headers, BODY, now=NOW + 10, tolerance=narrow)
    assert not verify(KEY, headers, BODY, now=NOW + 11, tolerance=narrow)


@given(st.integers(min_value=0), st.sampled_from(["webhook-id", "webhook-timestamp"]))
def test_a_flipped_bit_in_a_header_does_not_verify(bit: int, name: str) -> None:
    """The signature covers every bit of id and timestamp."""
    headers = signed(KEY)
    headers[name] = flipped(headers[name].encode(), bit).decode("latin-1")
    assert not accepts(headers=headers)


@given(st.integers(min_value=0), st.binary(min_size=1, max_size=80))
def test_a_flipped_bit_in_the_body_does_not_verify(bit: int, body: bytes) -> None:
    """The signature covers every bit; unflipped it verifies."""
    headers = signed(KEY, body=body)
    assert accepts(headers=headers, body=body)
    assert not accepts(headers=headers, body=flipped(body, bit))


@given(st.integers(min_value=0))
def test_a_flipped_bit_in_the_secret_does_not_verify(bit: int) -> None:
    """Only the exact secret verifies."""
    assert not accepts(flipped(KEY, bit), headers=signed(KEY))


@given(st.integers(min_value=0))
def test_a_flipped_bit_in_the_signature_does_not_verify(bit: int) -> None:
    """Every bit of its text counts, including the version."""
    headers = signed(KEY)
    changed = flipped(headers["webhook-signature"].encode(), bit).decode("latin-1")
    assert not accepts(headers={**headers, "webhook-signature": changed})


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1"},
        {"webhook-signature": ""},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "1700000000.0"},
        {"webhook-timestamp": " 1700000000"},
        {"webhook-timestamp": "+1700000000"},
        {"webhook-timestamp": "１７００００００００"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-id": ""},
    ],
)
def test_a_partial_signature_does_not_verify(change: dict[str, str]) -> None:
    """An empty, cut or otherwise encoded header does not verify."""
    assert not accepts(headers={**signed(KEY), **change})


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_does_not_verify(name: str) -> None:
    """All three are required."""
    headers = signed(KEY)
    del headers[name]
    assert not accepts(headers=headers)


@pytest.mark.parametrize("version", ["v1a", "v2", "V1", "v0", ""])
def test_another_version_does_not_verify(version: str) -> None:
    """Only `v1` counts, even with the same bytes."""
    headers = signed(KEY)
    mac = headers["webhook-signature"].removeprefix("v1,")
    assert not accepts(headers={**headers, "webhook-signature": f"{version},{mac}"})
    both = f"{version},AAAA v1,{mac}"
    assert accepts(headers={**headers, "webhook-signature": both})


@given(texts, texts, texts, bodies)
def test_junk_never_verifies_and_never_fails(
    message_id: str, timestamp: str, signature: str, body: bytes
) -> None:
    """Any text in the headers gives False and no error."""
    headers = {"webhook-id": message_id, "webhook-signature": signature}
    assert not accepts(headers={**headers, "webhook-timestamp": timestamp}, body=body)
    assert not accepts(headers={**headers, "webhook-timestamp": str(NOW)}, body=body)


def test_a_lone_surrogate_does_not_verify() -> None:
    """Text without a UTF-8 form gives False and no error."""
    for name in ("webhook-id", "webhook-signature"):
        assert not accepts(headers={**signed(KEY), name: "\ud800"})
