"""Mail and calendars at Google, as an account of the workspace."""

from gateway.actions import mail
from gateway.actions.action import Action, Connection, Provider
from gateway.actions.headers import with_defaults
from gateway.actions.mail import MailParams
from gateway.actions.mail_message import message
from gateway.effects import Effect

GMAIL = "https://gmail.googleapis.com"
SCOPES = "https://www.googleapis.com/auth/"
# The answer is cut at 16 KiB: no more than what is used is asked for.
SEND = "/upload/gmail/v1/users/me/messages/send?uploadType=media&fields=id,threadId,labelIds"


def gmail_send(provider: Provider) -> Action[MailParams]:
    """The body is the message itself, which a person can read. Gmail adds From, Date and
    Message-ID, and takes Bcc out.
    """

    def prepare(params: MailParams, seed: str, connection: Connection | None) -> Effect:
        assert connection
        checked = mail.checked(params)
        return Effect(
            method="POST",
            url=provider.origin(GMAIL) + SEND,
            headers=with_defaults({}, content_type="message/rfc822"),
            body=message(checked, seed),
            summary=mail.summary(checked, connection.account),
            warnings=mail.warnings(checked, connection.account),
            credential=connection.credential(f"{SCOPES}gmail.send"),
        )

    return Action(
        name="google.gmail.send",
        provider="google",
        title="Send mail with Gmail",
        params=MailParams,
        prepare=prepare,
        enabled=provider.enabled,
        connects="always",
    )
