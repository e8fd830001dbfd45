"""`verify`, beside the library of Standard Webhooks and with what Relay sends."""

import base64

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from gateway.signatures import sign
from relay_client import verify
from relay_client.problems import BadSignature
from tests.support.clients import Client
from tests.support.gateways import SIGNING_KEY
from tests.support.target import Target

BODY = b'{"test":  "h\xc3\xa9llo"}'
OLD, NEW = "whsec_" + base64.b64encode(b"old" * 8).decode(), "new-secret"
NOW = 1_800_000_000


def signed(*secrets: bytes, at: int = NOW, body: bytes = BODY) -> dict[str, str]:
    return sign(secrets, message_id="run-1", timestamp=at, body=body)


async def test_a_delivery_of_relay_names_its_run(client: Client, target: Target) -> None:
    run = await client.execute(await client.preview("webhook.save", url=target.url, body=[1]))
    [delivery] = target.deliveries
    assert verify(delivery.body, dict(delivery.headers), SIGNING_KEY.decode()) == run.run_id


@pytest.mark.parametrize(
    ("signing", "secrets"),
    [
        ((b"new-secret",), NEW),
        ((b"old" * 8,), OLD),
        ((b"new-secret", b"old" * 8), OLD),
        ((b"old" * 8,), f"{NEW}, {OLD}"),
        ((b"old" * 8,), [NEW, OLD]),
    ],
)
def test_any_of_the_secrets_may_fit(signing: tuple[bytes, ...], secrets: str | list[str]) -> None:
    """While a secret rotates, either side may know two."""
    assert verify(BODY, signed(*signing), secrets, now=NOW) == "run-1"


@pytest.mark.parametrize(("age", "accepted"), [(-301, 0), (-300, 1), (300, 1), (301, 0)])
def test_a_signature_lasts_five_minutes(age: int, accepted: int) -> None:
    headers = signed(b"new-secret", at=NOW - age)
    if accepted:
        verify(BODY, headers, NEW, now=NOW)
    else:
        with pytest.raises(BadSignature, match=f"{age} s ago"):
            verify(BODY, headers, NEW, now=NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "run-2"},
        {"webhook-timestamp": str(NOW + 1)},
        {"webhook-timestamp": f"{NOW}.0"},
        {"webhook-timestamp": "\u0661" * 10},
        {"webhook-timestamp": ""},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,\u00e9\udcff"},
        {"webhook-signature": signed(b"another")["webhook-signature"]},
    ],
)
def test_what_was_changed_is_refused(changed: dict[str, str]) -> None:
    """The library of Standard Webhooks refuses it, too."""
    headers = {**signed(b"new-secret"), **changed}
    with pytest.raises(BadSignature):
        verify(BODY, headers, NEW, now=NOW)
    oracle = Webhook(base64.b64encode(NEW.encode()).decode())
    with pytest.raises((WebhookVerificationError, UnicodeEncodeError)):
        oracle.verify(BODY, headers)


def test_another_body_is_refused() -> None:
    with pytest.raises(BadSignature):
        verify(BODY + b" ", signed(b"new-secret"), NEW, now=NOW)


@pytest.mark.parametrize("secrets", ["", " ", "a,", [], ["", NEW], "whsec_"])
def test_an_empty_secret_is_a_value_error(secrets: str | list[str]) -> None:
    """Anyone could sign with it: a variable that is not set must not verify anything."""
    with pytest.raises(ValueError, match="secret is empty"):
        verify(BODY, signed(b""), secrets, now=NOW)
