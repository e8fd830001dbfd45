"""Mail and calendars at Microsoft 365, as an account of the workspace."""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.actions import mail
from gateway.actions.action import Action, BadParams, Connection, Provider
from gateway.actions.headers import with_defaults
from gateway.actions.mail import Mail, Mailbox, MailParams
from gateway.effects import Effect

GRAPH = "https://graph.microsoft.com"
# The property by which a message or an event is found again: its value is the preview's id.
MARK = "String {7f2c1d0a-6a0e-4d0b-9a55-1c1e8f3b6b52} Name RelayPreview"


def outlook_send(provider: Provider) -> Action[MailParams]:
    """Accepted is not delivered: a 202 says that a draft was saved and will be sent."""

    def prepare(params: MailParams, seed: str, connection: Connection | None) -> Effect:
        assert connection
        checked = mail.checked(params)
        if checked.text is not None and checked.html is not None:
            raise BadParams("/html", "Outlook takes text or html, not both.")
        document = {"message": _message(checked, seed), "saveToSentItems": True}
        return Effect(
            method="POST",
            url=f"{provider.origin(GRAPH)}/v1.0/me/sendMail",
            headers=with_defaults({"client-request-id": seed}, content_type="application/json"),
            body=msgspec.json.encode(document),
            summary=mail.summary(checked, connection.account),
            warnings=mail.warnings(checked, connection.account),
            credential=connection.credential("Mail.Send"),
        )

    return Action(
        name="microsoft.outlook.send",
        provider="microsoft",
        title="Send mail with Outlook",
        params=MailParams,
        prepare=prepare,
        enabled=provider.enabled,
        connects="always",
    )


def _message(given: Mail, seed: str) -> dict[str, Any]:
    html = given.html is not None
    people = {
        "toRecipients": given.to,
        "ccRecipients": given.cc,
        "bccRecipients": given.bcc,
        "replyTo": given.reply_to,
    }
    attached = [
        {
            "@odata.type": "#microsoft.graph.fileAttachment",
            "name": it.name,
            "contentType": it.content_type,
            "contentBytes": b64encode(it.content).decode(),
        }
        for it in given.files
    ]
    return {
        "subject": given.subject,
        "body": {
            "contentType": "HTML" if html else "Text",
            "content": given.html if html else given.text,
        },
        **{name: _listed(boxes) for name, boxes in people.items() if boxes},
        **({"attachments": attached} if attached else {}),
        "singleValueExtendedProperties": [{"id": MARK, "value": seed}],
    }


def _listed(boxes: Iterable[Mailbox]) -> list[dict[str, Any]]:
    return [
        {"emailAddress": {"address": it.address, **({"name": it.name} if it.name else {})}}
        for it in boxes
    ]
