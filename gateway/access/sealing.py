"""Secrets at rest: AES-256-GCM, each bound to where it belongs.

A database writer can neither read a secret, change it nor move it to another row.
"""

import hashlib
import secrets
from collections.abc import Sequence

NONCE = 12  # NIST SP 800-38D, 5.2.1.1; random, good for 2^32 secrets under one key


class UnknownKey(Exception):
    """None of our keys sealed it, or there is none to seal with."""


class Forged(Exception):
    """It was changed, or it belongs elsewhere."""


def key_id(key: bytes) -> str:
    return hashlib.sha256(b"relay encryption key" + key).hexdigest()[:16]


class Sealer:
    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: 32 bytes each, newest first: it seals, all unseal. Without any all is refused."""
        self._keys = {key_id(key): key for key in keys}
        self.newest = next(iter(self._keys), None)

    def __repr__(self) -> str:
        return f"Sealer({list(self._keys)})"

    def has(self, key_id: str) -> bool:
        """Whether it can unseal what the key with this id has sealed."""
        return key_id in self._keys

    def seal(self, plain: bytes, *, bound_to: str) -> tuple[bytes, str]:
        """What to keep, and the id of the key that sealed it. Raises UnknownKey."""
        # Loaded where it is used: it takes 6.5 MB.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        if self.newest is None:
            raise UnknownKey("there is no key to seal with")
        nonce = secrets.token_bytes(NONCE)
        cipher = AESGCM(self._keys[self.newest])
        return nonce + cipher.encrypt(nonce, plain, bound_to.encode()), self.newest

    def unseal(self, sealed: bytes, sealed_with: str, *, bound_to: str) -> bytes:
        """Raises UnknownKey and Forged."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        if (key := self._keys.get(sealed_with)) is None:
            raise UnknownKey(f"it was sealed with the key {sealed_with}, which is not ours")
        try:
            return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], bound_to.encode())
        except (InvalidTag, ValueError):  # ValueError: a nonce that is too short
            pass
        # Raised outside of the handler: the caught error adds nothing.
        raise Forged("it was changed, or it belongs elsewhere")


def place(workspace: str, secret_id: str) -> str:
    """What a signing secret is bound to. No workspace's name holds a slash, and no id does."""
    return f"{workspace}/{secret_id}"


def place_of_connection(workspace: str, connection_id: str, version: int) -> str:
    """What the credential of a connection is bound to, so that neither a signing secret nor an
    older token of the same connection can take its place.
    """
    return f"{workspace}/connection/{connection_id}/{version}"
