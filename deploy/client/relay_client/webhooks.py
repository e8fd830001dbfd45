"""Verify that a webhook comes from Relay (Standard Webhooks 1.0).

>>> signed = {
...     "webhook-id": "8803f2c1",
...     "webhook-timestamp": "1764201600",
...     "webhook-signature": "v1,EMAZOKqW330ZML5HCcNbRtR04b/0xLZC+kAOMPxOX/8=",
... }
>>> verify(b'{"test": "hello"}', signed, "my-secret", now=1764201600)
'8803f2c1'
>>> verify(b'{"test": "other"}', signed, "my-secret", now=1764201600)
Traceback (most recent call last):
relay_client.problems.BadSignature: No signature was made with these secrets.
"""

import base64
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from relay_client.problems import BadSignature

# What the Standard Webhooks libraries allow between signing and verifying.
TOLERANCE = timedelta(minutes=5)


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secrets: str | Sequence[str],
    *,
    tolerance: timedelta = TOLERANCE,
    now: float | None = None,
) -> str:
    """Return the id of the run that sent this webhook: a receiver that has seen it drops the
    second.

    `body`: the raw bytes, before any parsing. `secrets`: each as in ACTIONS_SIGNING_SECRET,
    several while they rotate. `now`: seconds since the epoch.

    Raises BadSignature.
    """
    keys = _keys(secrets)
    given = {name.lower(): value for name, value in headers.items()}
    run_id, timestamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        raise BadSignature("The header webhook-timestamp has no number.")
    age = (time.time() if now is None else now) - int(timestamp)
    if abs(age) > tolerance.total_seconds():
        raise BadSignature(f"It was signed {age:.0f} s ago.")
    signed = f"{run_id}.{timestamp}.".encode(errors="surrogatepass") + body
    signatures = given.get("webhook-signature", "").encode(errors="surrogatepass").split(b" ")
    expected = [_signature(key, signed) for key in keys]
    if not any(hmac.compare_digest(one, other) for one in expected for other in signatures):
        raise BadSignature("No signature was made with these secrets.")
    return run_id


def _keys(secrets: str | Sequence[str]) -> list[bytes]:
    """Raises ValueError for none, or an empty one: anyone could sign with it."""
    given = secrets.split(",") if isinstance(secrets, str) else secrets
    keys = [_key(secret.strip()) for secret in given]
    if not all(keys) or not keys:
        raise ValueError("A signing secret is empty.")
    return keys


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    return secret.encode()


def _signature(key: bytes, signed: bytes) -> bytes:
    return b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256"))
