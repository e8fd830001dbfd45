"""Messages are read by parsers of others as they were meant: the standard library's two."""

import email
import random
import re
from base64 import b64encode
from collections.abc import Callable
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.utils import getaddresses
from typing import Any

import pytest

from gateway.actions import mail_message
from gateway.actions.action import BadParams
from gateway.actions.mail import Attachment, Mail, Mailbox, MailParams, Recipient, checked
from gateway.actions.mail_message import MARK, message

SEED = "0b6e4f0e-8a53-4f6e-9d5c-0c7a5d1f2e3b"
GENERATED, BLOCK = 3_000, 300
SCRIPTS = (
    "abc xyz",
    'a,b;"\\ ()<>@:',
    "äöüß é",
    "日本語 テスト",
    "Привет мир",
    "שלום عربي",
    "🎉👩\u200d👧 ok",
    "=?_ utf-8?q?",
    "Ἀθῆναι ññ",
    "한국어 ไทย हिन्दी",
)
DOMAINS = ("example.org", "bücher.example", "例え.jp", "Sub.EXAMPLE.com")


def text_of(dice: random.Random) -> str:
    letters = "".join(dice.sample(SCRIPTS, dice.randint(1, 3)))
    return "".join(dice.choice(letters) for _ in range(dice.randint(0, 60))).strip()


def recipients(dice: random.Random, number: int) -> list[Recipient | str]:
    atoms = ("".join(dice.choices("abcXYZ09+-_'", k=dice.randint(1, 9))) for _ in range(2 * number))
    addresses = (f"{one}.{next(atoms)}@{dice.choice(DOMAINS)}" for one in atoms)
    return [Recipient(address, text_of(dice)) for address in addresses]


def generated(seed: int) -> Mail:
    dice = random.Random(seed)
    attached = [
        Attachment(text_of(dice) or "a", "application/pdf", b64encode(dice.randbytes(200)).decode())
        for _ in range(dice.choice((0, 0, 1, 3)))
    ]
    return checked(
        MailParams(
            to=recipients(dice, dice.randint(1, 12)),
            cc=recipients(dice, dice.randint(0, 3)),
            bcc=recipients(dice, dice.randint(0, 3)),
            reply_to=recipients(dice, dice.randint(0, 2)),
            subject=text_of(dice) + text_of(dice),
            text=f"{text_of(dice)}\n{text_of(dice) * 5}" if seed % 3 else None,
            html=f"<p>{text_of(dice) * 9}</p>\r\n" if seed % 3 != 1 else None,
            attachments=attached,
        )
    )


def by_headers(read: Message) -> list[tuple[str, str]]:
    """Names and addresses, as the older parser has read them."""
    headers = [value for name in ("To", "Cc", "Bcc") for value in read.get_all(name, [])]
    return [(plain(name), address) for name, address in getaddresses(headers)]


def by_objects(read: EmailMessage) -> list[str]:
    """Addresses, as the newer parser has. It adds spaces between the words of a long name."""
    headers = [read[name] for name in ("To", "Cc", "Bcc")]
    return [one.addr_spec for header in headers if header for one in header.addresses]


def plain(text: str) -> str:
    return str(make_header(decode_header(text)))


@pytest.mark.parametrize("first", range(0, GENERATED, BLOCK))
def test_three_thousand_messages_lose_no_recipient_and_no_word(first: int) -> None:
    for seed in range(first, first + BLOCK):
        mail = generated(seed)
        written = message(mail, SEED)
        older = email.message_from_bytes(written, policy=policy.compat32)
        assert by_headers(older) == [tuple(it) for it in mail.recipients], seed
        assert plain(older["Subject"]) == mail.subject, seed
        read = email.message_from_bytes(written, policy=policy.default)
        assert by_objects(read) == [it.address for it in mail.recipients], seed
        assert read["Subject"] == mail.subject, seed
        assert [part.get_content() for part in read.iter_attachments()] == [
            it.content for it in mail.files
        ]


def test_a_writer_that_loses_recipients_is_noticed() -> None:
    """The comma between two names that is encoded with them (CVE-2025-1795)."""

    def lossy(mail: Mail) -> bytes:
        joined = ", ".join(it.name for it in mail.to)
        return b"To: =?utf-8?b?%b?= <%b>\r\n\r\n" % (
            b64encode(joined.encode()),
            mail.to[-1].address.encode(),
        )

    lost = sum(
        by_objects(email.message_from_bytes(lossy(mail), policy=policy.default))
        != [it.address for it in mail.recipients]
        for mail in map(generated, range(200))
    )
    assert lost > 150


def test_lines_are_short_and_end_as_smtp_wants() -> None:
    for seed in range(100):
        written = message(generated(seed), SEED)
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)", written)
        head, _, body = written.partition(b"\r\n\r\n")
        assert max(map(len, body.split(b"\r\n"))) <= 78
        assert max(map(len, head.split(b"\r\n"))) <= 998
        assert written.isascii()


def test_only_the_seed_makes_a_difference() -> None:
    """The same params and seed are the same bytes; another seed is another mark and boundary."""
    mail = generated(4)._replace(files=())
    assert message(mail, SEED) == message(mail, SEED)
    other = message(mail, "x")
    assert message(mail, SEED) != other
    assert message(mail, SEED).replace(SEED.encode(), b"x") == other
    assert f"\r\n{MARK}: {SEED}\r\n".encode() in message(mail, SEED)


def test_what_the_provider_sets_is_left_out() -> None:
    read = email.message_from_bytes(message(generated(1), SEED))
    assert not {"From", "Date", "Message-ID", "Sender"} & set(read.keys())


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ("_listed", "to"),
        ("_unstructured", "subject"),
        ("_text", "text"),
    ],
)
def test_what_would_be_read_differently_is_refused(
    monkeypatch: pytest.MonkeyPatch, broken: str, field: str
) -> None:
    """The reading back is a guard of its own: with a writer that cuts, nothing is prepared."""
    whole: Callable[..., Any] = getattr(mail_message, broken)
    monkeypatch.setattr(mail_message, broken, lambda *given: whole(*given)[:-3])
    given = MailParams(
        to=["ann@example.org", "bob@example.org"], subject="Hello", text="How are you"
    )
    with pytest.raises(BadParams) as caught:
        message(checked(given), SEED)
    assert caught.value.pointer == f"/{field}"


def test_a_name_is_read_with_single_spaces() -> None:
    [box] = checked(MailParams(to=[Recipient("a@b.example", " A \t B ")], subject="", text="")).to
    assert box == Mailbox("A B", "a@b.example")
