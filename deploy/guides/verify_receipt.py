"""Verify a receipt with nothing of Relay: python verify_receipt.py receipt.json keys.json"""

import base64
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

receipt, keys = (json.loads(Path(name).read_text()) for name in sys.argv[1:3])
kind, payload = receipt["payloadType"].encode(), base64.b64decode(receipt["payload"])
signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
signature = receipt["signatures"][0]
key = next(key for key in keys["keys"] if key["kid"] == signature["keyid"])
public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
public.verify(base64.b64decode(signature["sig"]), signed)  # raises InvalidSignature
sys.stdout.write(json.dumps(json.loads(payload), indent=2) + "\n")
