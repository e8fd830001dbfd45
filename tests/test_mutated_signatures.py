"""10,000 mutations of a signed request: the public Standard Webhooks library accepts none."""

import base64
import hmac
import random
import time
from math import floor
from typing import NamedTuple

from standardwebhooks.webhooks import Webhook

from gateway.signatures import sign, verify

KEY = b"0123456789abcdef0123456789abcdef"
WEBHOOK = Webhook(f"whsec_{base64.b64encode(KEY).decode()}")
BODY = '{"test": "héllo", "n": 12345678901234567890}'.encode()
MUTATIONS = 10_000


class Signed(NamedTuple):
    message_id: bytes
    timestamp: bytes
    mac: bytes
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return {
            "webhook-id": self.message_id.decode("latin-1"),
            "webhook-timestamp": self.timestamp.decode("latin-1"),
            "webhook-signature": f"v1,{base64.b64encode(self.mac).decode()}",
        }


def original() -> Signed:
    now = int(time.time())
    headers = sign([KEY], message_id="run-1", timestamp=now, body=BODY)
    mac = base64.b64decode(headers["webhook-signature"].removeprefix("v1,"))
    return Signed(b"run-1", str(now).encode(), mac, BODY)


def mutated(whole: Signed, generator: random.Random) -> Signed:
    """Parts with a bit flipped, a byte gone or added, the end cut off, or two bytes swapped."""
    name = generator.choice(Signed._fields)
    part = bytearray(getattr(whole, name))
    at, to = generator.randrange(len(part)), generator.randrange(len(part))
    match generator.randrange(5):
        case 0:
            part[at] ^= 1 << generator.randrange(8)
        case 1:
            del part[at]
        case 2:
            part.insert(at, generator.randrange(256))
        case 3:
            del part[at:]
        case _:
            part[at], part[to] = part[to], part[at]
    changed = whole._replace(**{name: bytes(part)})
    again = changed == whole or generator.randrange(2)
    return mutated(changed, generator) if again and all(changed) else changed


def library_accepts(signed: Signed) -> bool:
    try:
        WEBHOOK.verify(signed.body, signed.headers, json_parse=False)
    except Exception:  # noqa: BLE001  # it has no one error for what it cannot read
        return False
    return True


def spells_the_same(signed: Signed, whole: Signed) -> bool:
    """Whether only the spelling of the timestamp differs: the library reads a number of any form,
    such as `1_7`, ` 17` or `17.5`, and verifies its whole seconds.
    """
    try:
        seconds = floor(float(signed.timestamp.decode("latin-1")))
    except (ValueError, OverflowError):
        return False
    return signed._replace(timestamp=str(seconds).encode()) == whole


def we_accept(signed: Signed) -> bool:
    return verify(KEY, signed.headers, signed.body, now=time.time())


def test_no_mutation_is_accepted() -> None:
    """Of id, timestamp, signature or body; neither the library nor ours accepts one."""
    whole, generator = original(), random.Random(1)
    assert library_accepts(whole)
    assert we_accept(whole)
    changed = {mutated(whole, generator) for _ in range(2 * MUTATIONS)} - {whole}
    assert [it for it in changed if we_accept(it)] == []
    changed = {it for it in changed if not spells_the_same(it, whole)}
    assert len(changed) >= MUTATIONS
    assert [it for it in changed if library_accepts(it)] == []


def test_a_signature_of_the_body_alone_lets_mutations_through() -> None:
    """The negative control: as X-Signature, whose id and timestamp are not signed."""
    mac = hmac.digest(KEY, BODY, "sha256")
    whole, generator = original()._replace(mac=mac), random.Random(1)
    changed = {mutated(whole, generator) for _ in range(1000)} - {whole}
    passed = [it for it in changed if hmac.digest(KEY, it.body, "sha256") == it.mac]
    assert len(passed) > 100
