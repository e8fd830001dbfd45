"""What an event may be."""

from typing import Any

import msgspec
import pytest

from gateway.actions import events
from gateway.actions.action import BadParams
from gateway.actions.events import EventParams

DAY = {"date": "2026-12-24"}


def moment(text: str, zone: str | None = "Europe/Berlin") -> dict[str, str | None]:
    return {"date_time": text, "time_zone": zone}


def checked(start: Any, end: Any, **given: Any) -> events.Event:
    document = {"title": "Review", "start": start, "end": end, **given}
    return events.checked(msgspec.convert(document, EventParams))


def refused(start: Any, end: Any, **given: Any) -> str:
    with pytest.raises(BadParams) as caught:
        checked(start, end, **given)
    return caught.value.pointer


@pytest.mark.parametrize(
    ("start", "end", "where"),
    [
        ({}, DAY, "/start"),
        ({**DAY, **moment("2026-12-24T10:00")}, DAY, "/start"),
        ({"date": "2026-02-30"}, DAY, "/start/date"),
        ({"date": "24.12.2026"}, DAY, "/start/date"),
        ({"date": "2026-12-24T00:00"}, DAY, "/start/date"),
        ({"date": "2026-12-24", "time_zone": "UTC"}, DAY, "/start/time_zone"),
        (DAY, DAY, "/end"),
        (DAY, {"date": "2026-12-23"}, "/end"),
        (DAY, moment("2026-12-25T10:00"), "/end"),
        (moment("2026-12-24T10:00", None), moment("2026-12-24T11:00"), "/start/time_zone"),
        (
            moment("2026-12-24T10:00", "Mars/Base"),
            moment("2026-12-24T11:00"),
            "/start/time_zone",
        ),
        (
            moment("2026-12-24T10:00", "../passwd"),
            moment("2026-12-24T11:00"),
            "/start/time_zone",
        ),
        (moment("2026-12-24T10:00+01:00"), moment("2026-12-24T11:00"), "/start/date_time"),
        (moment("0001-01-01T00:00", "Asia/Tokyo"), DAY, "/start/date_time"),
        (
            moment("2026-12-24T10:00"),
            moment("9999-12-31T23:59", "America/New_York"),
            "/end/date_time",
        ),
        (moment("2026-03-29T02:30"), moment("2026-03-29T04:00"), "/start/date_time"),
        *(
            (moment("2026-12-24T10:00", zone), moment("2026-12-24T12:00"), "/start/time_zone")
            for zone in ("localtime", "Factory", "posixrules", "right/UTC", "", "Europe", "a\0b")
        ),
        (moment("2026-12-24T25:00"), moment("2026-12-24T11:00"), "/start/date_time"),
        (moment("2026-12-24 10:00"), moment("2026-12-24T11:00"), "/start/date_time"),
        (moment("2026-12-24T10:00"), moment("2026-12-24T10:00"), "/end"),
        (moment("2026-12-24T10:00"), moment("2026-12-24T15:00", "Asia/Tokyo"), "/end"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(start: Any, end: Any, where: str) -> None:
    assert refused(start, end) == where


@pytest.mark.parametrize("text", ["2026-03-29T01:59", "2026-03-29T03:00", "2026-10-25T02:30"])
def test_a_time_beside_the_skipped_hour_is_taken(text: str) -> None:
    """So is one of the hour that comes twice."""
    assert checked(moment(text), moment("2026-12-24T11:00"))


@pytest.mark.parametrize("calendar", [".", "..", "a\n", "a/b", ""])
def test_a_calendar_is_one_step_of_a_path(calendar: str) -> None:
    """Two dots would lead to another calendar than the one that was approved."""
    with pytest.raises(msgspec.ValidationError):
        checked(DAY, {"date": "2026-12-25"}, calendar=calendar)
    assert checked(DAY, {"date": "2026-12-25"}, calendar="..." if calendar == ".." else "a")


def test_a_title_is_one_line() -> None:
    """It stands in the summary that approvers read."""
    for end in ("\n", "\r", "\u2028"):
        document = {"title": f"a{end}b", "start": DAY, "end": {"date": "2026-12-25"}}
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(document, EventParams)


def test_zones_are_compared_as_moments() -> None:
    """11:00 in New York is after 12:00 in Berlin."""
    later = moment("2026-12-24T11:00", "America/New_York")
    assert not checked(moment("2026-12-24T12:00"), later).whole_days


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "FREQ=WEEKLY",
        "RRULE:",
        "RRULE:FREQ=HOURLY",
        "RRULE:COUNT=1",
        "RRULE:FREQ=DAILY;FREQ=DAILY",
        "RRULE:FREQ=DAILY\r\nEXDATE:20261224",
        "DTSTART:20261224",
        "RRULE:FREQ=DAILY;",
    ],
)
def test_what_is_no_rule_is_refused(rule: str) -> None:
    assert refused(DAY, {"date": "2026-12-25"}, recurrence=rule) == "/recurrence"


def test_guests_are_addresses() -> None:
    guests = [{"address": "a@example.org"}, {"address": "b"}]
    assert refused(DAY, {"date": "2026-12-25"}, attendees=guests) == "/attendees/1"


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (DAY, {"date": "2026-12-25"}, "all day on 2026-12-24"),
        (DAY, {"date": "2026-12-27"}, "3 whole days from 2026-12-24"),
        (
            moment("2026-12-24T10:00"),
            moment("2026-12-24T11:00"),
            "2026-12-24T10:00 to 2026-12-24T11:00 Europe/Berlin",
        ),
        (
            moment("2026-12-24T10:00"),
            moment("2026-12-24T11:00", "UTC"),
            "2026-12-24T10:00 to 2026-12-24T11:00 Europe/Berlin and UTC",
        ),
    ],
)
def test_an_event_is_described_in_words(start: Any, end: Any, words: str) -> None:
    assert events.described(checked(start, end)) == words
    rule = "RRULE:FREQ=WEEKLY;COUNT=4"
    assert events.described(checked(start, end, recurrence=rule)) == f"{words}, repeated"


def test_midnight_to_midnight_is_probably_meant_as_a_day() -> None:
    long = checked(moment("2026-12-24T00:00"), moment("2026-12-25T00:00"))
    assert "give dates" in events.warnings(long, "a@b.example")[0]
    short = checked(moment("2026-12-24T00:00"), moment("2026-12-25T00:01"))
    assert events.warnings(short, "a@b.example") == []
