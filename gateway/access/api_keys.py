"""What an API key looks like, and what is stored of it.

`rly_live_` or `rly_test_`, 8 characters of public id, 32 of secret (190 bits), 6 of CRC32 over all
before them; the alphabet is base62. The checksum tells junk without any look-up. Only the
HMAC-SHA256 of the whole text under a pepper is stored. No repr shows the text.
"""

import hashlib
import hmac
import secrets
import string
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
LIVE, TEST = "rly_live_", "rly_test_"
ID = 8
SECRET = 32  # 32 x log2(62) = 190.5 bits
CHECKSUM = 6  # 62^6 > 2^32
LENGTH = len(LIVE) + ID + SECRET + CHECKSUM
# What the text of an unknown id is compared with, so that it costs what a wrong secret costs.
NO_DIGEST = bytes(32)


class Parsed(NamedTuple):
    text: str
    id: str
    live: bool

    def __repr__(self) -> str:
        return f"Parsed(id={self.id!r}, live={self.live})"


def parse(text: str) -> Parsed | None:
    """The key that is written here, or None; looks nothing up and raises nothing."""
    if len(text) != LENGTH or not text.startswith((LIVE, TEST)):
        return None
    rest = text[len(LIVE) :]
    if not (rest.isascii() and rest.isalnum()):
        return None
    if checksum(text[:-CHECKSUM]) != text[-CHECKSUM:]:
        return None
    return Parsed(text, rest[:ID], text.startswith(LIVE))


def make(*, live: bool) -> Parsed:
    start = LIVE if live else TEST
    start += "".join(secrets.choice(BASE62) for _ in range(ID + SECRET))
    text = start + checksum(start)
    return Parsed(text, text[len(LIVE) :][:ID], live)


def checksum(start: str) -> str:
    """CRC32 in base62, six characters: it finds every change of one character."""
    number = crc32(start.encode())
    digits = ""
    for _ in range(CHECKSUM):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


def pepper_id(pepper: bytes) -> str:
    return hashlib.sha256(b"relay key pepper" + pepper).hexdigest()[:16]


def digest(pepper: bytes, text: str) -> bytes:
    return hmac.digest(pepper, text.encode(), "sha256")


def matches(peppers: Sequence[bytes], text: str, kept: bytes) -> bool:
    """Whether `kept` is the digest of this text under one of the peppers, in constant time."""
    return any(hmac.compare_digest(digest(pepper, text), kept) for pepper in peppers)
