"""Requests to Microsoft have the fields of Graph, and only those."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.actions.action import BadParams, Connection, Provider
from gateway.actions.microsoft import MARK, create_event, outlook_send
from gateway.effects import Effect
from tests.support.effects import SEED, effect_of

GRAPH = json.loads((Path(__file__).parent.parent / "data" / "microsoft" / "graph.json").read_text())
ANN = Connection(id="c-1", provider="microsoft", account="ann@example.org", subject="s-1")
ON = Provider(enabled=True)
DAYS = {"start": {"date": "2026-12-24"}, "end": {"date": "2026-12-26"}}


def mail(**given: Any) -> Effect:
    params = {"to": ["bob@example.org"], "subject": "Hello", "text": "Hi", **given}
    return effect_of(outlook_send(ON), params, connection=ANN)


def event(**given: Any) -> Effect:
    return effect_of(create_event(ON), {"title": "Review", **DAYS, **given}, connection=ANN)


def fields(name: str) -> dict[str, str]:
    """Of a type of Graph and of those that it extends."""
    kind = GRAPH["types"][name]
    base = fields(kind["extends"]) if kind["extends"] else {}
    return {**base, **kind["fields"]}


def unknown(value: Any, declared: str, where: str) -> list[str]:
    """What Graph does not know of this value. Its enumerations take no notice of case."""
    kind = re.sub(r"NullableOption<(.*)>", r"\1", declared)
    if isinstance(value, list):
        assert kind.endswith("[]"), where
        return [it for one in value for it in unknown(one, kind[:-2], where)]
    if isinstance(value, dict):
        name = value.get("@odata.type", f"#microsoft.graph.{kind}").rpartition(".")[2]
        known = fields(name[0].upper() + name[1:])
        members = {key: one for key, one in value.items() if not key.startswith("@")}
        wrong = [f"{where}/{key}" for key in members if key not in known]
        return wrong + [
            it
            for key, one in members.items()
            if key in known
            for it in unknown(one, known[key], f"{where}/{key}")
        ]
    if kind in GRAPH["enums"]:
        words = [word.lower() for word in GRAPH["enums"][kind]]
        return [] if str(value).lower() in words else [where]
    plain = {"string": str, "boolean": bool, "number": int}.get(kind)
    return [] if plain and isinstance(value, plain) else [where]


ATTACHED = {"filename": "ü.pdf", "content_type": "application/pdf", "content": "AAEC"}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"cc": ["c@example.com"], "bcc": ["d@e.example"], "reply_to": ["e@f.example"]},
        {"text": None, "html": "<p>Hi</p>", "attachments": [ATTACHED]},
        {"to": [{"address": "a@bücher.example", "name": 'Ü "x", y'}]},
    ],
)
def test_mail_has_the_fields_of_graph(given: dict[str, Any]) -> None:
    made = mail(**given)
    assert (made.method, made.url) == ("POST", "https://graph.microsoft.com/v1.0/me/sendMail")
    body = json.loads(made.body or b"")
    assert set(body) == {"message", "saveToSentItems"}
    assert unknown(body["message"], "Message", "") == []
    assert body["message"]["singleValueExtendedProperties"] == [{"id": MARK, "value": SEED}]
    assert made.headers["client-request-id"] == SEED
    assert made.credential
    assert made.credential.scopes == ("Mail.Send",)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"description": "d", "location": "l", "online_meeting": True},
        {"attendees": [{"address": "b@example.org", "optional": True}]},
        {
            "start": {"date_time": "2026-12-24T10:00", "time_zone": "Europe/Berlin"},
            "end": {"date_time": "2026-12-24T11:00", "time_zone": "America/New_York"},
        },
        {"recurrence": "RRULE:FREQ=DAILY;INTERVAL=2;COUNT=3"},
        {"recurrence": "RRULE:FREQ=WEEKLY;BYDAY=MO,FR;UNTIL=20270101"},
        {"recurrence": "RRULE:FREQ=WEEKLY"},
        {"recurrence": "RRULE:FREQ=MONTHLY"},
        {"recurrence": "RRULE:FREQ=YEARLY;COUNT=2"},
    ],
)
def test_an_event_has_the_fields_of_graph(given: dict[str, Any]) -> None:
    made = event(**given)
    body = json.loads(made.body or b"")
    assert unknown(body, "Event", "") == []
    assert body["transactionId"] == SEED
    assert made.credential
    assert made.credential.scopes == ("Calendars.ReadWrite",)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"toRecipient": []}, "/toRecipient"),
        ({"transactionID": "x"}, "/transactionID"),
        ({"attendees": [{"emailAddress": {"adress": "x"}}]}, "/attendees/emailAddress/adress"),
        ({"attendees": [{"type": "maybe"}]}, "/attendees/type"),
        ({"isAllDay": "yes"}, "/isAllDay"),
    ],
)
def test_a_field_that_graph_does_not_know_is_noticed(change: dict[str, Any], where: str) -> None:
    assert unknown(json.loads(event().body or b"") | change, "Event", "") == [where]


def test_a_whole_day_lasts_from_midnight_to_midnight() -> None:
    body = json.loads(event().body or b"")
    assert body["isAllDay"] is True
    assert body["start"] == {"dateTime": "2026-12-24T00:00:00", "timeZone": "UTC"}
    assert body["end"] == {"dateTime": "2026-12-26T00:00:00", "timeZone": "UTC"}


def test_a_summary_names_the_invitations() -> None:
    """Microsoft has no switch for them."""
    what = "Event of ann@example.org: Review, 2 whole days from 2026-12-24."
    assert event().summary == what
    one = event(attendees=[{"address": "b@example.org"}])
    assert one.summary == f"{what} Microsoft mails 1 invitation."


def test_text_and_html_are_one_too_many() -> None:
    with pytest.raises(BadParams) as caught:
        mail(html="<p>Hi</p>")
    assert caught.value.pointer == "/html"


@pytest.mark.parametrize(
    "rule",
    [
        "RRULE:FREQ=DAILY;BYDAY=MO",
        "RRULE:FREQ=MONTHLY;BYMONTHDAY=1",
        "RRULE:FREQ=WEEKLY;BYDAY=1MO",
        "RRULE:FREQ=WEEKLY;COUNT=2;UNTIL=20270101",
        "RRULE:FREQ=WEEKLY;COUNT=0",
        "RRULE:FREQ=WEEKLY;COUNT=1000",
        "RRULE:FREQ=WEEKLY;INTERVAL=x",
        "RRULE:FREQ=WEEKLY;UNTIL=tomorrow",
        "RRULE:FREQ=WEEKLY;UNTIL=20271301",
        # In the zone of the event it may be another day.
        "RRULE:FREQ=WEEKLY;UNTIL=20270101T000000Z",
    ],
)
def test_a_rule_that_graph_cannot_repeat_is_refused(rule: str) -> None:
    with pytest.raises(BadParams) as caught:
        event(recurrence=rule)
    assert caught.value.pointer == "/recurrence"


def test_weeks_start_as_in_the_rule() -> None:
    """With every second week, Monday and Sunday are of one week only if it starts on Monday."""
    body = json.loads(event(recurrence="RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU").body or b"")
    assert body["recurrence"]["pattern"] == {
        "type": "weekly",
        "interval": 2,
        "daysOfWeek": ["monday", "sunday"],
        "firstDayOfWeek": "monday",
    }


@pytest.mark.parametrize(
    ("day", "frequency", "taken"),
    [
        ("2026-10-28", "MONTHLY", True),
        ("2026-10-29", "MONTHLY", False),
        ("2026-10-31", "YEARLY", True),
        ("2028-02-28", "YEARLY", True),
        ("2028-02-29", "YEARLY", False),
    ],
)
def test_a_day_that_months_lack_is_refused(day: str, frequency: str, taken: bool) -> None:
    days = {"start": {"date": day}, "end": {"date": "2029-01-01"}}
    rule = f"RRULE:FREQ={frequency}"
    if taken:
        assert event(**days, recurrence=rule)
    else:
        with pytest.raises(BadParams):
            event(**days, recurrence=rule)


def test_only_the_seed_differs_between_two_previews() -> None:
    other = "11111111-2222-4333-8444-555555555555"
    for make, params in (
        (outlook_send(ON), {"to": ["bob@example.org"], "subject": "s", "text": "t"}),
        (create_event(ON), {"title": "Review", **DAYS}),
    ):
        first, again = (effect_of(make, params, connection=ANN) for _ in range(2))
        changed = effect_of(make, params, connection=ANN, seed=other)
        assert first == again
        assert (changed.body or b"").replace(other.encode(), SEED.encode()) == first.body
