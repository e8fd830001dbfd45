"""Sign the exact bytes of a request, and verify such signatures.

Standard Webhooks 1.0 (`webhook-id`, `webhook-timestamp`, `webhook-signature`) and, for receivers
that know nothing else, `X-Signature: sha256=<hex>` of the body.
"""

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta

# What the Standard Webhooks libraries allow between signing and verifying.
TOLERANCE = timedelta(minutes=5)

HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature", "X-Signature")


class SecretsSealed(Exception):
    """The workspace has signing secrets, and this process can unseal none of them."""


def sign(
    secrets: Sequence[bytes], *, message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The headers of a message, with one signature for each secret; none without a secret.

    `timestamp`: seconds since the epoch. `secrets`: newest first. `X-Signature` holds one
    signature, which is that of the newest.
    """
    if not secrets:
        return {}
    signatures = (_signature(secret, message_id, str(timestamp), body) for secret in secrets)
    values = (
        message_id,
        str(timestamp),
        " ".join(signatures),
        f"sha256={hmac.digest(secrets[0], body, 'sha256').hex()}",
    )
    return dict(zip(HEADERS, values, strict=True))


def verify(
    secret: bytes,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    tolerance: timedelta = TOLERANCE,
) -> bool:
    """Whether a `v1` signature was made with this secret, at most `tolerance` from now.

    `headers`: names in lower case. `now`: seconds since the epoch.
    """
    timestamp = headers.get("webhook-timestamp", "")
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        return False
    if abs(now - int(timestamp)) > tolerance.total_seconds():
        return False
    expected = _signature(secret, headers.get("webhook-id", ""), timestamp, body).encode()
    given = headers.get("webhook-signature", "").encode(errors="surrogatepass").split(b" ")
    return any(hmac.compare_digest(expected, signature) for signature in given)


def _signature(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode(errors="surrogatepass") + body
    return f"v1,{base64.b64encode(hmac.digest(secret, signed, 'sha256')).decode()}"
