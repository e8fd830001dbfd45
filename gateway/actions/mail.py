"""The params of a mail, of every provider, and what is wrong with them."""

import re
from base64 import b64decode
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import idna
from msgspec import Meta, Struct

from gateway.actions.action import BadParams
from gateway.problem import pointer

RECIPIENTS_MAX = 500
ATTACHED_MAX = 128 * 1024
# External recipients that a warning names.
SHOWN_MAX = 5

ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
LOCAL = re.compile(rf"{ATOM}(\.{ATOM})*")
# What ends a line for some reader (RFC 5322; Python's str.splitlines), and NUL.
# Text without them. Python finds `$` also before a last line feed.
LINE = r"^[^\0\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]*$(?!\n)"
LINE_ENDS = re.compile("[\0\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
MEDIA_TYPE = r"^[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}$(?!\n)"

Address = Annotated[
    str, Meta(description="An address", max_length=254, examples=["ann@example.org"])
]


class Recipient(Struct, forbid_unknown_fields=True):
    address: Address
    name: Annotated[
        str, Meta(description="Shown beside the address", max_length=200, examples=["Ann Lee"])
    ] = ""


Recipients = Annotated[
    list[Recipient | str],
    Meta(
        description="Addresses, each with a name or alone",
        max_length=RECIPIENTS_MAX,
        examples=[["ann@example.org", {"address": "bob@example.com", "name": "Bob"}]],
    ),
]


class Attachment(Struct, forbid_unknown_fields=True):
    filename: Annotated[
        str,
        Meta(description="As the reader sees it", min_length=1, max_length=200, examples=["a.pdf"]),
    ]
    content_type: Annotated[
        str, Meta(description="Its media type", pattern=MEDIA_TYPE, examples=["application/pdf"])
    ]
    content: Annotated[str, Meta(description="Its bytes in base64", examples=["SGVsbG8="])]


class MailParams(Struct, forbid_unknown_fields=True, kw_only=True):
    """At least one recipient, and `text` or `html` or both."""

    connection: Annotated[
        str | None,
        Meta(
            description="The id or name of the connection to send as; the only one if left out",
            examples=["ann@example.org"],
        ),
    ] = None
    to: Recipients = []
    cc: Recipients = []
    bcc: Recipients = []
    reply_to: Recipients = []
    subject: Annotated[
        str, Meta(description="One line", max_length=500, examples=["The invoice of May"])
    ]
    text: Annotated[str | None, Meta(description="The body in words", examples=["Hello Ann"])] = (
        None
    )
    html: Annotated[str | None, Meta(description="The body in HTML", examples=["<p>Hello</p>"])] = (
        None
    )
    attachments: Annotated[
        list[Attachment],
        Meta(
            description="At most 128 KiB in all",
            max_length=50,
            examples=[[{"filename": "a.txt", "content_type": "text/plain", "content": "SGk="}]],
        ),
    ] = []


class Mailbox(NamedTuple):
    """`name`: with single spaces, since readers fold others. `address`: in ASCII, its domain in
    A-labels.
    """

    name: str
    address: str


class File(NamedTuple):
    name: str
    content_type: str
    content: bytes


class Mail(NamedTuple):
    """Checked params."""

    to: Sequence[Mailbox]
    cc: Sequence[Mailbox]
    bcc: Sequence[Mailbox]
    reply_to: Sequence[Mailbox]
    subject: str
    text: str | None
    html: str | None
    files: Sequence[File]

    @property
    def recipients(self) -> list[Mailbox]:
        return [*self.to, *self.cc, *self.bcc]


def checked(params: MailParams) -> Mail:
    """Raises BadParams, which names the field."""
    to, cc = _mailboxes("to", params.to), _mailboxes("cc", params.cc)
    bcc, reply_to = _mailboxes("bcc", params.bcc), _mailboxes("reply_to", params.reply_to)
    number = len(to) + len(cc) + len(bcc)
    if not 1 <= number <= RECIPIENTS_MAX:
        raise BadParams("/to", f"A message has 1 to {RECIPIENTS_MAX} recipients, not {number}.")
    _check_line("/subject", params.subject)
    for name in ("text", "html"):
        if "\0" in (getattr(params, name) or ""):
            raise BadParams(f"/{name}", "It holds a NUL.")
    if params.text is None and params.html is None:
        raise BadParams("/text", "Give text or html.")
    files = [_file(index, it) for index, it in enumerate(params.attachments)]
    if sum(len(it.content) for it in files) > ATTACHED_MAX:
        raise BadParams("/attachments", f"They have more than {ATTACHED_MAX // 1024} KiB in all.")
    return Mail(to, cc, bcc, reply_to, params.subject, params.text, params.html, files)


def _mailboxes(field: str, given: Sequence[Recipient | str]) -> list[Mailbox]:
    boxes = []
    for index, it in enumerate(given):
        one = Recipient(it) if isinstance(it, str) else it
        boxes.append(mailbox(pointer(field, str(index)), one.address, one.name))
    return boxes


def mailbox(where: str, address: str, name: str) -> Mailbox:
    """Raises BadParams."""
    _check_line(where, name)
    return Mailbox(" ".join(name.split()), _address(where, address))


def _address(where: str, text: str) -> str:
    local, _, domain = text.rpartition("@")
    if not LOCAL.fullmatch(local) or len(local) > 64:
        detail = "The part before the @ has 1 to 64 letters, digits and signs, all ASCII."
        raise BadParams(where, detail)
    try:
        ascii_domain = idna.encode(domain, uts46=True).decode()
    except idna.IDNAError as error:
        raise BadParams(where, "The part behind the @ is no domain name.") from error
    # A last dot would make one domain two; digits alone are an IP address.
    last = ascii_domain.rpartition(".")[2]
    if "." not in ascii_domain or not last or last.isdigit():
        raise BadParams(where, "The part behind the @ is no domain name.")
    if len(local) + len(ascii_domain) > 253:
        raise BadParams(where, "The part behind the @ is no domain name.")
    return f"{local}@{ascii_domain}"


def _check_line(where: str, text: str) -> None:
    if LINE_ENDS.search(text):
        raise BadParams(where, "It holds a line end or a NUL.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadParams(where, "It holds half of a surrogate pair.") from error


def _file(index: int, given: Attachment) -> File:
    where = pointer("attachments", str(index))
    _check_line(f"{where}/filename", given.filename)
    try:
        content = b64decode(given.content, validate=True)
    except ValueError as error:
        raise BadParams(f"{where}/content", "This is not base64 (RFC 4648, 4).") from error
    content_type = given.content_type.lower()
    if content_type.startswith(("multipart/", "message/")):
        # They are never in base64 (RFC 2045, 6.4).
        raise BadParams(f"{where}/content_type", "Attach it as application/octet-stream.")
    return File(given.filename, content_type, content)


def summary(mail: Mail, account: str) -> str:
    number = len(mail.recipients)
    people = "1 person" if number == 1 else f"{number} people"
    files = ""
    if mail.files:
        size = sum(len(it.content) for it in mail.files)
        plural = "" if len(mail.files) == 1 else "s"
        files = f", {len(mail.files)} attachment{plural} of {_size(size)}"
    return f"Mail from {account} to {people}: {mail.subject or 'no subject'}{files}"


def _size(number: int) -> str:
    return f"{number} bytes" if number < 1000 else f"{round(number / 1000)} kB"


def warnings(mail: Mail, account: str) -> tuple[str, ...]:
    """Recipients of other domains than the account's."""
    own = account.rpartition("@")[2].lower()
    others = [it.address for it in mail.recipients if it.address.rpartition("@")[2].lower() != own]
    if not others:
        return ()
    shown = ", ".join(others[:SHOWN_MAX])
    more = f" and {len(others) - SHOWN_MAX} more" if len(others) > SHOWN_MAX else ""
    return (f"{len(others)} of {len(mail.recipients)} recipients are external: {shown}{more}.",)
