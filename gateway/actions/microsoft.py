"""Mail and calendars at Microsoft 365, as an account of the workspace."""

import re
from base64 import b64encode
from collections.abc import Iterable
from datetime import date
from typing import Any
from urllib.parse import quote

import msgspec

from gateway.actions import events, mail
from gateway.actions.action import Action, BadParams, Connection, Provider
from gateway.actions.events import Event, EventParams, When
from gateway.actions.headers import with_defaults
from gateway.actions.mail import Mail, Mailbox, MailParams
from gateway.effects import Effect

GRAPH = "https://graph.microsoft.com"
# The property by which a message or an event is found again: its value is the preview's id.
MARK = "String {7f2c1d0a-6a0e-4d0b-9a55-1c1e8f3b6b52} Name RelayPreview"
# The days of a rule (RFC 5545, 3.3.10), and the parts of it that Graph knows too.
DAYS = {
    "MO": "monday",
    "TU": "tuesday",
    "WE": "wednesday",
    "TH": "thursday",
    "FR": "friday",
    "SA": "saturday",
    "SU": "sunday",
}
WEEKDAYS = (*DAYS.values(),)
KNOWN = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY"}


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


def create_event(provider: Provider) -> Action[EventParams]:
    """Microsoft always invites the attendees. A repeated `transactionId` is refused."""

    def prepare(params: EventParams, seed: str, connection: Connection | None) -> Effect:
        assert connection
        event = events.checked(params)
        calendar = f"calendars/{quote(params.calendar, safe='')}/" if params.calendar else ""
        number = len(event.guests)
        guests = f" Microsoft mails {number} invitation{'' if number == 1 else 's'}." * bool(number)
        what = f"Event of {connection.account}: {params.title}, {events.described(event)}."
        return Effect(
            method="POST",
            url=f"{provider.origin(GRAPH)}/v1.0/me/{calendar}events",
            headers=with_defaults({"client-request-id": seed}, content_type="application/json"),
            body=msgspec.json.encode(_event(event, seed)),
            summary=what + guests,
            warnings=tuple(events.warnings(event, connection.account)),
            credential=connection.credential("Calendars.ReadWrite"),
        )

    return Action(
        name="microsoft.calendar.create_event",
        provider="microsoft",
        title="Create an event in Outlook",
        params=EventParams,
        prepare=prepare,
        enabled=provider.enabled,
        connects="always",
    )


def _event(event: Event, seed: str) -> dict[str, Any]:
    params = event.params
    guests = [
        {**_listed([it.box])[0], "type": "optional" if it.optional else "required"}
        for it in event.guests
    ]
    meeting = {"isOnlineMeeting": True, "onlineMeetingProvider": "teamsForBusiness"}
    return {
        "subject": params.title,
        "body": {"contentType": "Text", "content": params.description},
        **({"location": {"displayName": params.location}} if params.location else {}),
        "start": _when(params.start),
        "end": _when(params.end),
        "isAllDay": event.whole_days,
        **({"attendees": guests} if guests else {}),
        **({"recurrence": _recurrence(event)} if event.rule else {}),
        **(meeting if params.online_meeting else {}),
        "transactionId": seed,
        "singleValueExtendedProperties": [{"id": MARK, "value": seed}],
    }


def _when(when: When) -> dict[str, str | None]:
    """A whole day lasts from midnight to midnight, in one zone."""
    if when.date:
        return {"dateTime": f"{when.date}T00:00:00", "timeZone": "UTC"}
    seconds = ":00" if len(when.date_time or "") == 16 else ""
    return {"dateTime": f"{when.date_time}{seconds}", "timeZone": when.time_zone}


def _recurrence(event: Event) -> dict[str, Any]:
    """`pattern` and `range`. Raises BadParams for what Graph cannot repeat."""
    rule = event.rule
    if more := [name for name in rule if name not in KNOWN]:
        raise BadParams("/recurrence", f"Microsoft does not know {more[0]} here.")
    start = (event.params.start.date or event.params.start.date_time or "")[:10]
    return {"pattern": _pattern(rule, start), "range": _range(rule, start)}


def _pattern(rule: dict[str, str], start: str) -> dict[str, Any]:
    _, month, day = map(int, start.split("-"))
    every = {"interval": _number(rule.get("INTERVAL", "1"), "INTERVAL")}
    if "BYDAY" in rule and rule["FREQ"] != "WEEKLY":
        raise BadParams("/recurrence", "Microsoft takes BYDAY with FREQ=WEEKLY only.")
    match rule["FREQ"]:
        case "DAILY":
            return {"type": "daily", **every}
        case "WEEKLY":
            # Graph's weeks start on Sunday, those of RFC 5545 (3.3.10) on Monday.
            days = {"daysOfWeek": _days(rule, start), "firstDayOfWeek": "monday"}
            return {"type": "weekly", **every, **days}
        case "MONTHLY" | "YEARLY" if day > 28 and (rule["FREQ"] == "MONTHLY" or month == 2):
            detail = "Microsoft would use the last day of a shorter month, where others skip it."
            raise BadParams("/recurrence", detail)
        case "MONTHLY":
            return {"type": "absoluteMonthly", **every, "dayOfMonth": day}
        case _:
            return {"type": "absoluteYearly", **every, "dayOfMonth": day, "month": month}


def _days(rule: dict[str, str], start: str) -> list[str]:
    if "BYDAY" not in rule:
        return [WEEKDAYS[date.fromisoformat(start).weekday()]]
    names = rule["BYDAY"].split(",")
    if not set(names) <= set(DAYS):
        raise BadParams("/recurrence", "BYDAY has days such as MO,WE.")
    return [DAYS[name] for name in names]


def _range(rule: dict[str, str], start: str) -> dict[str, Any]:
    if "COUNT" in rule and "UNTIL" in rule:
        raise BadParams("/recurrence", "A rule has COUNT or UNTIL, not both (RFC 5545, 3.3.10).")
    if "COUNT" in rule:
        number = _number(rule["COUNT"], "COUNT")
        return {"type": "numbered", "startDate": start, "numberOfOccurrences": number}
    if "UNTIL" in rule:
        return {"type": "endDate", "startDate": start, "endDate": _day(rule["UNTIL"])}
    return {"type": "noEnd", "startDate": start}


def _day(text: str) -> str:
    try:
        if re.fullmatch(r"\d{8}", text, re.ASCII):
            return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise BadParams("/recurrence", "UNTIL is no day of the calendar.") from error
    raise BadParams("/recurrence", "Microsoft ends a rule on a day: UNTIL is like 20261224.")


def _number(text: str, name: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,2}", text, re.ASCII):
        raise BadParams("/recurrence", f"{name} is a number from 1 to 999.")
    return int(text)
