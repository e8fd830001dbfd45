"""A mail message as bytes (RFC 5322, MIME), the same for the same params and seed.

Written here because `EmailMessage` encodes the comma between two recipients, so that the second is
lost: CVE-2025-1795, of CPython 3.11.7 in 900 of 3,000 lists with names in many scripts. What was
written is read again before it is returned.
"""

import binascii
import email
import re
import string
from base64 import b64encode
from collections.abc import Iterable
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses

from gateway.actions.action import BadParams
from gateway.actions.mail import File, Mail, Mailbox

# The mark by which a message is found again: its value is the preview's id.
MARK = "X-Relay-Preview"
PLAIN = re.compile(r"[!-~]+( [!-~]+)*")
# Of attribute values (RFC 2231, 7).
UNRESERVED = frozenset(string.ascii_letters + string.digits + "._-")
# Bytes of an encoded word, which has at most 75 characters (RFC 2047, 2).
WORD_MAX = 45


def message(mail: Mail, seed: str) -> bytes:
    """`seed`: the preview's id. Raises BadParams for what cannot be written so that it is read
    again as it was.
    """
    named = {"To": mail.to, "Cc": mail.cc, "Bcc": mail.bcc, "Reply-To": mail.reply_to}
    lines = [f"{name}: {_listed(boxes)}" for name, boxes in named.items() if boxes]
    lines += [f"Subject: {_unstructured(mail.subject)}", f"{MARK}: {seed}", "MIME-Version: 1.0"]
    written = "\r\n".join(lines).encode() + b"\r\n" + _content(mail, seed)
    if lost := _lost(mail, email.message_from_bytes(written)):
        raise BadParams(f"/{lost}", "A mail reader would not read it as it is written here.")
    return written


def _listed(boxes: Iterable[Mailbox]) -> str:
    """One recipient a line."""
    return ",\r\n ".join(f"{_phrase(it.name)} <{it.address}>".lstrip() for it in boxes)


def _phrase(name: str) -> str:
    if name.isascii() and name.isprintable() and "=?" not in name:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"' if name else ""
    return _words(name)


def _unstructured(text: str) -> str:
    if PLAIN.fullmatch(text) and "=?" not in text and len(text) <= 60:
        return text
    return _words(text) if text else ""


def _words(text: str) -> str:
    """Encoded words (RFC 2047), cut between characters."""
    parts = [b""]
    for letter in text:
        encoded = letter.encode()
        if len(parts[-1]) + len(encoded) > WORD_MAX:
            parts.append(b"")
        parts[-1] += encoded
    return "\r\n ".join(f"=?utf-8?b?{b64encode(part).decode()}?=" for part in parts)


def _content(mail: Mail, seed: str) -> bytes:
    """The headers of the content, an empty line and the content."""
    bodies = [
        _text(kind, text)
        for kind, text in (("plain", mail.text), ("html", mail.html))
        if text is not None
    ]
    body = bodies[0] if len(bodies) == 1 else _multipart("alternative", bodies, seed)
    if not mail.files:
        return body
    return _multipart("mixed", [body, *map(_attached, mail.files)], seed)


def _text(kind: str, text: str) -> bytes:
    lines = re.sub("\r\n|\r|\n", "\r\n", text)
    head = f"Content-Type: text/{kind}; charset=utf-8\r\n"
    body = binascii.b2a_qp(lines.encode(), istext=True)
    # It breaks long lines as the first line of the text ends, or with a line feed.
    body = re.sub(rb"(?<!\r)\n", b"\r\n", body)
    return head.encode() + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + body


def _multipart(kind: str, parts: Iterable[bytes], seed: str) -> bytes:
    boundary = f"relay-{kind}-{seed}"
    head = f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"\r\n'
    joined = b"".join(b"\r\n--%b\r\n%b" % (boundary.encode(), part) for part in parts)
    return head.encode() + joined + b"\r\n--%b--\r\n" % boundary.encode()


def _attached(file: File) -> bytes:
    head = (
        f"Content-Type: {file.content_type}\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment;\r\n {_filename(file.name)}\r\n\r\n"
    )
    text = b64encode(file.content)
    return head.encode() + b"\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))


def _filename(name: str) -> str:
    """In UTF-8, percent-encoded, a line each 18 bytes (RFC 2231, 3 and 4)."""
    octets = [chr(it) if chr(it) in UNRESERVED else f"%{it:02X}" for it in name.encode()]
    pieces = ["".join(octets[at : at + 18]) for at in range(0, len(octets), 18)]
    pieces[0] = f"utf-8''{pieces[0]}"
    return ";\r\n ".join(f"filename*{number}*={piece}" for number, piece in enumerate(pieces))


def _lost(mail: Mail, read: Message) -> str | None:
    """The field that a reader would read differently."""
    named = {"to": mail.to, "cc": mail.cc, "bcc": mail.bcc, "reply_to": mail.reply_to}
    for field, boxes in named.items():
        header = read.get_all(field.replace("_", "-"), [])
        found = [Mailbox(_decoded(name), address) for name, address in getaddresses(header)]
        if found != list(boxes):
            return field
    return "subject" if _decoded(read["Subject"]) != mail.subject else _lost_part(mail, read)


def _lost_part(mail: Mail, read: Message) -> str | None:
    parts = [part for part in read.walk() if not part.is_multipart()]
    wanted = [text for text in (mail.text, mail.html) if text is not None]
    contents = [part.get_payload(decode=True) for part in parts]
    texts = [re.sub("\r\n|\r|\n", "\r\n", text).encode() for text in wanted]
    if contents[: len(texts)] != texts:
        return "text" if mail.text is not None else "html"
    files = [(part.get_filename(), content) for part, content in zip(parts, contents, strict=True)]
    if files[len(texts) :] != [(it.name, it.content) for it in mail.files]:
        return "attachments"
    return None


def _decoded(text: str) -> str:
    return str(make_header(decode_header(text)))
