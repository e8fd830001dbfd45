"""What a mail may be, and how it is described."""

from base64 import b64encode
from typing import Any

import msgspec
import pytest

from gateway.actions import mail
from gateway.actions.action import BadParams
from gateway.actions.mail import ATTACHED_MAX, RECIPIENTS_MAX, MailParams

ANN = "ann@example.org"


def checked(**given: Any) -> mail.Mail:
    document = {"to": [ANN], "subject": "Hello", "text": "Hi", **given}
    return mail.checked(msgspec.convert(document, MailParams))


def refused(**given: Any) -> tuple[str, str]:
    with pytest.raises(BadParams) as caught:
        checked(**given)
    return caught.value.pointer, str(caught.value)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        (ANN, ANN),
        ("a.b+c@Example.ORG", "a.b+c@example.org"),
        ("o'neil@example.org", "o'neil@example.org"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a@例え.jp", "a@xn--r8jz45g.jp"),
        (f"{'a' * 64}@example.org", f"{'a' * 64}@example.org"),
    ],
)
def test_an_address_is_written_in_ascii(given: str, address: str) -> None:
    assert checked(to=[given]).to[0].address == address


@pytest.mark.parametrize(
    "given",
    [
        "",
        "ann",
        "@example.org",
        "ann@",
        "ann@localhost",
        "ann@1.2.3.4",
        "ann@example.org.",
        "ann@[1.2.3.4]",
        "müller@example.org",
        '"a b"@example.org',
        "a..b@example.org",
        ".a@example.org",
        "a.@example.org",
        "a b@example.org",
        "a@b@example.org",
        "a@exa mple.org",
        "a@-example.org",
        "a@example..org",
        f"{'a' * 65}@example.org",
        "a@example.org\r\nBcc: b@example.org",
        "a@example.org,b@example.org",
        "a@example.org>",
    ],
)
@pytest.mark.parametrize("field", ["to", "cc", "bcc", "reply_to"])
def test_what_is_no_address_is_refused(field: str, given: str) -> None:
    where, _ = refused(**{field: [ANN, given]})
    assert where == f"/{field}/1"


@pytest.mark.parametrize(
    "end", ["\r", "\n", "\0", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"]
)
def test_a_line_end_in_a_header_is_refused(end: str) -> None:
    """It would begin another header for some reader."""
    text = f"a{end}b"
    assert refused(subject=text)[0] == "/subject"
    assert refused(to=[{"address": ANN, "name": text}])[0] == "/to/0"
    attached = {"filename": text, "content_type": "text/plain", "content": ""}
    assert refused(attachments=[attached])[0] == "/attachments/0/filename"


def test_a_nul_in_a_body_is_refused() -> None:
    assert refused(text="a\0b") == ("/text", "It holds a NUL.")
    assert refused(html="a\0b") == ("/html", "It holds a NUL.")


@pytest.mark.parametrize("number", [0, 1, RECIPIENTS_MAX, RECIPIENTS_MAX + 1])
def test_a_message_has_recipients_and_not_too_many(number: int) -> None:
    given = {"to": [], "cc": [], "bcc": [ANN] * min(number, 200), "reply_to": [ANN] * 3}
    given["to"] = [ANN] * (number - len(given["bcc"]))
    if 1 <= number <= RECIPIENTS_MAX:
        assert len(checked(**given).recipients) == number
    elif number > RECIPIENTS_MAX:
        assert refused(**given)[0] == "/to"
    else:
        assert refused(to=[]) == ("/to", "A message has 1 to 500 recipients, not 0.")


def test_a_message_has_a_body() -> None:
    assert refused(text=None) == ("/text", "Give text or html.")
    assert checked(text="").text == ""
    assert checked(text=None, html="").html == ""


@pytest.mark.parametrize("over", [0, 1])
def test_attachments_are_bounded_together(over: int) -> None:
    half = b64encode(b"a" * (ATTACHED_MAX // 2)).decode()
    rest = b64encode(b"a" * (ATTACHED_MAX // 2 + over)).decode()
    given = [{"filename": "a", "content_type": "text/plain", "content": it} for it in (half, rest)]
    if over:
        assert refused(attachments=given)[0] == "/attachments"
    else:
        assert len(checked(attachments=given).files) == 2


@pytest.mark.parametrize("kind", ["message/rfc822", "Message/Partial", "multipart/mixed"])
def test_an_attachment_is_no_message_of_its_own(kind: str) -> None:
    attached = {"filename": "a", "content_type": kind, "content": "AAEC"}
    assert refused(attachments=[attached])[0] == "/attachments/0/content_type"


def test_an_attachment_is_base64() -> None:
    attached = {"filename": "a", "content_type": "text/plain", "content": "A"}
    assert refused(attachments=[attached])[0] == "/attachments/0/content"


@pytest.mark.parametrize(
    ("given", "summary"),
    [
        ({}, "Mail from ann@example.org to 1 person: Hello"),
        ({"cc": [ANN], "bcc": [ANN]}, "Mail from ann@example.org to 3 people: Hello"),
        ({"subject": ""}, "Mail from ann@example.org to 1 person: no subject"),
        ({"files": 999}, "Mail from ann@example.org to 1 person: Hello, 1 attachment of 999 bytes"),
        ({"files": 12_400}, "Mail from ann@example.org to 1 person: Hello, 1 attachment of 12 kB"),
    ],
)
def test_a_mail_is_described_in_words(given: dict[str, Any], summary: str) -> None:
    if size := given.pop("files", 0):
        content = b64encode(b"a" * size).decode()
        given["attachments"] = [{"filename": "a", "content_type": "a/b", "content": content}]
    assert mail.summary(checked(**given), ANN) == summary


def test_external_recipients_are_warned_of() -> None:
    assert mail.warnings(checked(), ANN) == ()
    assert mail.warnings(checked(to=["b@EXAMPLE.org"]), ANN) == ()
    assert mail.warnings(checked(to=[ANN, "b@example.com", "c@sub.example.org"]), ANN) == (
        "2 of 3 recipients are external: b@example.com, c@sub.example.org.",
    )
    many = checked(to=[f"{number}@example.com" for number in range(7)])
    assert mail.warnings(many, ANN)[0].endswith("4@example.com and 2 more.")
