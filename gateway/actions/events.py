"""The params of a calendar event, of every provider, and what is wrong with them."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct

from gateway.actions.action import BadParams
from gateway.actions.mail import LINE, Address, Mailbox, mailbox
from gateway.problem import pointer

ATTENDEES_MAX = 200
# Files beside the zones of IANA: they are of the host, or no place's time.
NO_ZONE = re.compile(r"localtime|Factory|posixrules|(posix|right)/.*", re.DOTALL)
# The parts of a rule that both providers know (RFC 5545, 3.3.10).
RULE = re.compile(r"RRULE:[A-Z]+=[^;=\s]+(;[A-Z]+=[^;=\s]+)*")


class When(Struct, forbid_unknown_fields=True, kw_only=True):
    """Either `date`, for a whole day, or `date_time` and `time_zone`."""

    date: Annotated[
        str | None,
        Meta(description="A day; as an end, the day after the last one", examples=["2026-12-24"]),
    ] = None
    date_time: Annotated[
        str | None,
        Meta(description="Local time, without an offset", examples=["2026-12-24T10:00:00"]),
    ] = None
    time_zone: Annotated[
        str | None, Meta(description="A name of IANA", examples=["Europe/Berlin"])
    ] = None


class Attendee(Struct, forbid_unknown_fields=True):
    address: Address
    name: Annotated[
        str, Meta(description="Shown beside the address", max_length=200, examples=["Ann Lee"])
    ] = ""
    optional: Annotated[bool, Meta(description="Need not come", examples=[True])] = False


class EventParams(Struct, forbid_unknown_fields=True, kw_only=True):
    connection: Annotated[
        str | None,
        Meta(
            description="The id or name of the connection whose calendar it is; the only one if "
            "left out",
            examples=["ann@example.org"],
        ),
    ] = None
    calendar: Annotated[
        Annotated[str, Meta(pattern=r"^(?!\.{1,2}$)[A-Za-z0-9@._=+-]{1,256}$(?!\n)")] | None,
        Meta(
            description="The id of a calendar; the main one if left out",
            examples=["team@group.calendar.google.com"],
        ),
    ] = None
    title: Annotated[
        str,
        Meta(
            description="One line", min_length=1, max_length=500, pattern=LINE, examples=["Review"]
        ),
    ]
    description: Annotated[
        str, Meta(description="What it is about", max_length=8192, examples=["Bring the figures."])
    ] = ""
    location: Annotated[
        str, Meta(description="Where it is", max_length=1024, examples=["Room 4"])
    ] = ""
    start: Annotated[When, Meta(description="When it starts", examples=[{"date": "2026-12-24"}])]
    end: Annotated[When, Meta(description="When it has ended", examples=[{"date": "2026-12-25"}])]
    attendees: Annotated[
        list[Attendee],
        Meta(
            description="Who is invited",
            max_length=ATTENDEES_MAX,
            examples=[[{"address": "bob@example.com"}]],
        ),
    ] = []
    recurrence: Annotated[
        Annotated[str, Meta(max_length=512)] | None,
        Meta(description="A rule of RFC 5545", examples=["RRULE:FREQ=WEEKLY;COUNT=4"]),
    ] = None
    online_meeting: Annotated[
        bool, Meta(description="With a meeting of the provider", examples=[True])
    ] = False


class Guest(NamedTuple):
    box: Mailbox
    optional: bool


class Event(NamedTuple):
    """Checked params. `whole_days`: start and end are dates. `rule`: its parts, by name."""

    params: EventParams
    guests: list[Guest]
    whole_days: bool
    rule: dict[str, str]


def checked(params: EventParams) -> Event:
    """Raises BadParams, which names the field."""
    starts, ends = _moment("start", params.start), _moment("end", params.end)
    whole_days = params.start.date is not None
    if whole_days != (params.end.date is not None):
        raise BadParams("/end", "Start and end are both days or both moments.")
    if ends <= starts:
        last = "; the end is the day after the last one" if whole_days else ""
        raise BadParams("/end", f"It ends before it has started{last}.")
    guests = [
        Guest(mailbox(pointer("attendees", str(index)), it.address, it.name), it.optional)
        for index, it in enumerate(params.attendees)
    ]
    return Event(params, guests, whole_days, _rule(params.recurrence))


def _moment(field: str, when: When) -> datetime:
    """Raises BadParams."""
    if (when.date is None) == (when.date_time is None):
        raise BadParams(f"/{field}", "Give either date, or date_time and time_zone.")
    if when.date is not None:
        if when.time_zone is not None:
            raise BadParams(f"/{field}/time_zone", "A day has no time zone.")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", when.date, re.ASCII):
            raise BadParams(f"/{field}/date", "A day is like 2026-12-24.")
        return _parsed(f"/{field}/date", when.date)
    return _local(field, when.date_time or "", when.time_zone)


def _local(field: str, text: str, zone: str | None) -> datetime:
    if zone is None:
        raise BadParams(f"/{field}/time_zone", "A moment needs a time zone.")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", text, re.ASCII):
        raise BadParams(f"/{field}/date_time", "A moment is like 2026-12-24T10:00:00.")
    known = _zone(f"/{field}/time_zone", zone)
    moment = _parsed(f"/{field}/date_time", text)
    try:
        universal = moment.replace(tzinfo=known).astimezone(UTC)
        again = universal.astimezone(known)
    except OverflowError as error:
        raise BadParams(f"/{field}/date_time", "This is at an end of the calendar.") from error
    if again.replace(tzinfo=None) != moment:
        raise BadParams(f"/{field}/date_time", f"The clocks of {zone} skip this time of that day.")
    return universal.replace(tzinfo=None)


def _zone(where: str, name: str) -> ZoneInfo:
    try:
        if not NO_ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadParams(where, "This is no time zone of IANA.") from error
    raise BadParams(where, "This is no time zone of IANA.")


def _parsed(where: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise BadParams(where, "This is no day of the calendar, or no time of the day.") from error


def _rule(text: str | None) -> dict[str, str]:
    """The parts of the rule, in its order. Raises BadParams."""
    if text is None:
        return {}
    if not RULE.fullmatch(text):
        raise BadParams("/recurrence", "A rule is like RRULE:FREQ=WEEKLY;COUNT=4.")
    parts = [part.partition("=") for part in text.removeprefix("RRULE:").split(";")]
    rule = {name: value for name, _, value in parts}
    if len(rule) < len(parts) or rule.get("FREQ") not in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY"):
        raise BadParams("/recurrence", "A rule has one FREQ of days, weeks, months or years.")
    return rule


def described(event: Event) -> str:
    """When it is, in words."""
    start, end = event.params.start, event.params.end
    if event.whole_days:
        days = (date.fromisoformat(end.date or "") - date.fromisoformat(start.date or "")).days
        when = f"all day on {start.date}" if days == 1 else f"{days} whole days from {start.date}"
    else:
        when = f"{start.date_time} to {end.date_time} {start.time_zone}"
        if start.time_zone != end.time_zone:
            when += f" and {end.time_zone}"
    return f"{when}, repeated" if event.rule else when


def external(event: Event, account: str) -> list[str]:
    """The guests of other domains than the account's."""
    own = account.rpartition("@")[2].lower()
    addresses = [it.box.address for it in event.guests]
    return [it for it in addresses if it.rpartition("@")[2].lower() != own]


def warnings(event: Event, account: str) -> list[str]:
    others = external(event, account)
    found = [f"{len(others)} of {len(event.guests)} guests are external."] if others else []
    start, end = event.params.start, event.params.end
    midnight = (start.date_time or "")[11:16] == (end.date_time or "")[11:16] == "00:00"
    if midnight and not event.whole_days:
        found.append("It lasts from midnight to midnight and is no all-day event: give dates.")
    return found
