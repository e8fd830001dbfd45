"""The text that is kept of an answer is decoded as its Content-Type says."""

import codecs

import pytest

from gateway.egress.answer import CHARSETS, charset
from gateway.egress.client import Egress
from gateway.outcomes import Answered
from tests.egress.test_client import effect, egress, send
from tests.support.target import Target, status

__all__ = ["egress"]  # the fixture


@pytest.mark.parametrize(
    ("media_type", "body", "text"),
    [
        ("text/plain", "grüß".encode(), "grüß"),
        ("text/plain; charset=utf-8", "grüß".encode(), "grüß"),
        ("text/plain; charset=ISO-8859-1", b"gr\xfc\xdf", "grüß"),
        ('text/html;boundary=x; Charset="windows-1252"', b"\x80 5", "€ 5"),
        ("text/plain;charset=utf-16", "grüß".encode("utf-16"), "grüß"),
        ("text/plain;charset=Shift_JIS", "日本".encode("shift_jis"), "日本"),
        ("text/plain;charset=koi8-r", "да".encode("koi8-r"), "да"),
        ("text/plain;charset=gb18030", "中".encode("gb18030"), "中"),
        ("text/plain;charset=us-ascii", b"a\xff", "a\ufffd"),
        ("text/plain;charset=nonsense", "ü".encode(), "ü"),
        ("text/plain;charset=", "ü".encode(), "ü"),
        ("text/plain;notcharset=latin1", "ü".encode(), "ü"),
    ],
)
async def test_the_charset_of_an_answer_is_honoured(
    egress: Egress, target: Target, media_type: str, body: bytes, text: str
) -> None:
    """What is unknown or not given is read as UTF-8."""
    target.answer = status(200, body, f"Content-Type: {media_type}")
    outcome = await send(egress, effect(target.url))
    assert outcome == Answered(status_code=200, response=text, truncated=False)


@pytest.mark.parametrize(
    "name", "rot13 hex base64 zip idna punycode unicode_escape utf-7 undefined mbcs os".split()
)
def test_a_codec_of_python_is_no_charset(name: str) -> None:
    """Some of them unpack, some take quadratic time, some make what cannot be stored."""
    assert charset(f"text/plain; charset={name}".encode()) == "utf-8"


@pytest.mark.parametrize("label", sorted(CHARSETS))
def test_every_charset_decodes_every_byte(label: str) -> None:
    """To text that UTF-8 can hold."""
    name = charset(f"text/plain; charset={label.upper()}".encode())
    assert name == "utf-8" or codecs.lookup(name) != codecs.lookup("utf-8") or "utf" in label
    text = bytes(range(256)) * 2
    assert text.decode(name, "replace").encode()
