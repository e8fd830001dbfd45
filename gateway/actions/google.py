"""Mail and calendars at Google, as an account of the workspace."""

from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec
from msgspec import Meta

from gateway.actions import events, mail
from gateway.actions.action import Action, BadParams, Connection, Provider
from gateway.actions.events import Event, EventParams, When
from gateway.actions.headers import with_defaults
from gateway.actions.mail import MailParams
from gateway.actions.mail_message import message
from gateway.effects import Effect

GMAIL = "https://gmail.googleapis.com"
CALENDAR = "https://www.googleapis.com"
SCOPES = "https://www.googleapis.com/auth/"
# The answer is cut at 16 KiB: no more than what is used is asked for.
SEND = "/upload/gmail/v1/users/me/messages/send?uploadType=media&fields=id,threadId,labelIds"

EVENT_FIELDS = "id,status,htmlLink,hangoutLink,iCalUID"
# A private property by which an event is found again, beside its id.
PROPERTY = "relayPreview"
NOTIFIED = {"all": "all", "external": "externalOnly", "none": "none"}


class GoogleEventParams(EventParams, forbid_unknown_fields=True, kw_only=True):
    notify: Annotated[
        Literal["all", "external", "none"] | None,
        Meta(description="Which guests get a mail; needed with attendees", examples=["all"]),
    ] = None


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


def create_event(provider: Provider) -> Action[GoogleEventParams]:
    """The preview's id is the event's, so that Google refuses to create it twice (409)."""

    def prepare(params: GoogleEventParams, seed: str, connection: Connection | None) -> Effect:
        assert connection
        event = events.checked(params)
        if event.guests and params.notify is None:
            raise BadParams("/notify", "Say which guests get a mail: all, external or none.")
        return Effect(
            method="POST",
            url=provider.origin(CALENDAR) + _path(params, event),
            headers=with_defaults({}, content_type="application/json"),
            body=msgspec.json.encode(_event(event, seed)),
            summary=_summary(event, connection.account, params.notify),
            warnings=tuple(events.warnings(event, connection.account)),
            credential=connection.credential(f"{SCOPES}calendar.events.owned"),
        )

    return Action(
        name="google.calendar.create_event",
        provider="google",
        title="Create an event in Google Calendar",
        params=GoogleEventParams,
        prepare=prepare,
        enabled=provider.enabled,
        connects="always",
    )


def event_id(seed: str) -> str:
    """Letters a to v and digits, as Google wants it."""
    return UUID(seed).hex


def _path(params: GoogleEventParams, event: Event) -> str:
    query = {
        "sendUpdates": NOTIFIED[params.notify or "none"],
        "conferenceDataVersion": int(event.params.online_meeting),
        "fields": EVENT_FIELDS,
    }
    calendar = quote(params.calendar or "primary", safe="")
    return f"/calendar/v3/calendars/{calendar}/events?{urlencode(query, safe=',')}"


def _event(event: Event, seed: str) -> dict[str, Any]:
    params = event.params
    guests = [
        {
            "email": it.box.address,
            **({"displayName": it.box.name} if it.box.name else {}),
            **({"optional": True} if it.optional else {}),
        }
        for it in event.guests
    ]
    meeting = {"requestId": seed, "conferenceSolutionKey": {"type": "hangoutsMeet"}}
    return {
        "id": event_id(seed),
        "summary": params.title,
        **({"description": params.description} if params.description else {}),
        **({"location": params.location} if params.location else {}),
        "start": _when(params.start),
        "end": _when(params.end),
        **({"attendees": guests} if guests else {}),
        **({"recurrence": [params.recurrence]} if params.recurrence else {}),
        **({"conferenceData": {"createRequest": meeting}} if params.online_meeting else {}),
        "extendedProperties": {"private": {PROPERTY: seed}},
    }


def _when(when: When) -> dict[str, str | None]:
    if when.date:
        return {"date": when.date}
    seconds = ":00" if len(when.date_time or "") == 16 else ""
    return {"dateTime": f"{when.date_time}{seconds}", "timeZone": when.time_zone}


def _summary(event: Event, account: str, notify: str | None) -> str:
    number = len(event.guests)
    guests = f", {number} guest{'' if number == 1 else 's'}" if number else ""
    what = f"Event of {account}: {event.params.title}, {events.described(event)}{guests}"
    mails = {"all": number, "external": len(events.external(event, account))}.get(notify or "", 0)
    return f"{mails} invitations by mail. {what}" if mails else what
