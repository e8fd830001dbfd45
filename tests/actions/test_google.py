"""Requests to Google are as its own discovery documents want them."""

import email
import json
from email import policy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from jsonschema import Draft202012Validator, ValidationError

from gateway.actions.action import BadParams, Connection, Provider
from gateway.actions.google import create_event, event_id, gmail_send
from gateway.effects import Effect
from tests.support.effects import SEED, effect_of

DATA = Path(__file__).parent.parent / "data" / "google"
CALENDAR, GMAIL = (json.loads((DATA / f"{it}.json").read_text()) for it in ("calendar", "gmail"))
ANN = Connection(id="c-1", provider="google", account="ann@example.org", subject="s-1")
ON = Provider(enabled=True)
DAYS = {"start": {"date": "2026-12-24"}, "end": {"date": "2026-12-25"}}
HOURS = {
    "start": {"date_time": "2026-12-24T10:00", "time_zone": "Europe/Berlin"},
    "end": {"date_time": "2026-12-24T11:30:00", "time_zone": "Europe/Berlin"},
}


def mail(**given: Any) -> Effect:
    params = {"to": ["bob@example.org"], "subject": "Hello", "text": "Hi", **given}
    return effect_of(gmail_send(ON), params, connection=ANN)


def event(when: dict[str, Any] = DAYS, **given: Any) -> Effect:
    return effect_of(create_event(ON), {"title": "Review", **when, **given}, connection=ANN)


def validator(document: dict[str, Any], name: str) -> Draft202012Validator:
    """A discovery schema as a JSON Schema that knows all members."""

    def converted(node: Any) -> Any:
        if isinstance(node, list):
            return [converted(it) for it in node]
        if not isinstance(node, dict):
            return node
        made = {
            key: converted(it) for key, it in node.items() if key != "id" or isinstance(it, dict)
        }
        if isinstance(node.get("$ref"), str):
            return {"$ref": f"#/$defs/{node['$ref']}"}
        if node.get("type") == "object" and "additionalProperties" not in node:
            made["additionalProperties"] = False
        return made

    schemas = {name: converted(schema) for name, schema in document["schemas"].items()}
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schemas})


EVENTS = validator(CALENDAR, "Event")


def test_mail_goes_up_as_the_message_itself() -> None:
    made = mail(bcc=["eve@example.com"], html="<p>Hi</p>")
    url, send = urlsplit(made.url), GMAIL["send"]
    upload = send["mediaUpload"]["protocols"]["simple"]["path"]
    assert f"{url.scheme}://{url.netloc}/" == GMAIL["rootUrl"]
    assert url.path == upload.replace("{userId}", "me")
    assert (made.method, made.headers["Content-Type"]) == (send["httpMethod"], "message/rfc822")
    query = parse_qs(url.query)
    assert query.pop("uploadType") == ["media"]
    assert set(query) <= set(send["parameters"]) | set(GMAIL["parameters"])
    assert set(query["fields"][0].split(",")) <= set(GMAIL["schemas"]["Message"]["properties"])
    read = email.message_from_bytes(made.body or b"", policy=policy.default)
    assert (read["To"], read["Bcc"]) == ("bob@example.org", "eve@example.com")
    assert made.summary == "Mail from ann@example.org to 2 people: Hello"
    assert made.warnings == ("1 of 2 recipients are external: eve@example.com.",)
    assert made.credential
    assert made.credential.scopes == ("https://www.googleapis.com/auth/gmail.send",)
    assert set(made.credential.scopes) <= set(send["scopes"])


@pytest.mark.parametrize(
    "given",
    [
        {"when": DAYS},
        {"when": HOURS, "description": "d", "location": "l", "online_meeting": True},
        {"when": HOURS, "recurrence": "RRULE:FREQ=WEEKLY;COUNT=4"},
        {
            "when": DAYS,
            "notify": "all",
            "attendees": [
                {"address": "b@example.org", "name": "Ü", "optional": True},
                {"address": "c@bücher.example"},
            ],
        },
    ],
)
def test_an_event_is_what_the_discovery_document_says(given: dict[str, Any]) -> None:
    made = event(**given)
    url, insert = urlsplit(made.url), CALENDAR["insert"]
    assert made.method == insert["httpMethod"]
    assert made.url.startswith(
        CALENDAR["baseUrl"] + insert["path"].replace("{calendarId}", "primary")
    )
    query = parse_qs(url.query)
    assert set(query) <= set(insert["parameters"]) | set(CALENDAR["parameters"])
    assert query["sendUpdates"][0] in insert["parameters"]["sendUpdates"]["enum"]
    assert set(query["fields"][0].split(",")) <= set(CALENDAR["schemas"]["Event"]["properties"])
    body = json.loads(made.body or b"")
    EVENTS.validate(body)
    assert body["id"] == event_id(SEED) == SEED.replace("-", "")
    assert made.credential
    assert set(made.credential.scopes) <= set(insert["scopes"])


@pytest.mark.parametrize(
    "change", [{"sumary": "x"}, {"recurrence": "RRULE:FREQ=DAILY"}, {"location": 1}, {"thread": 1}]
)
def test_the_schema_refuses_what_is_wrong(change: dict[str, Any]) -> None:
    body = json.loads(event().body or b"")
    with pytest.raises(ValidationError):
        EVENTS.validate(body | change)


def test_only_the_seed_differs_between_two_previews() -> None:
    for make, params in (
        (gmail_send(ON), {"to": ["bob@example.org"], "subject": "s", "text": "t"}),
        (create_event(ON), {"title": "Review", **DAYS}),
    ):
        other = "11111111-2222-4333-8444-555555555555"
        first, again = (effect_of(make, params, connection=ANN) for _ in range(2))
        changed = effect_of(make, params, connection=ANN, seed=other)
        assert first == again
        assert first.digest != changed.digest
        body = (changed.body or b"").replace(other.encode(), SEED.encode())
        assert body.replace(event_id(other).encode(), event_id(SEED).encode()) == first.body


def test_guests_get_mail_only_if_the_caller_says_so() -> None:
    guests = [{"address": "b@example.org"}, {"address": "c@example.com"}]
    with pytest.raises(BadParams) as caught:
        event(attendees=guests)
    assert caught.value.pointer == "/notify"
    for notify, sent, mails in (
        ("all", "all", "2 invitations by mail. "),
        ("external", "externalOnly", "1 invitations by mail. "),
        ("none", "none", ""),
    ):
        made = event(attendees=guests, notify=notify)
        assert f"sendUpdates={sent}&" in made.url
        what = "Event of ann@example.org: Review, all day on 2026-12-24, 2 guests"
        assert made.summary == mails + what
        assert made.warnings == ("1 of 2 guests are external.",)


def test_another_origin_stands_for_all_hosts() -> None:
    """Paths are as in reality."""
    test = Provider(enabled=True, base_url="http://127.0.0.1:1")
    made = effect_of(create_event(test), {"title": "Review", **DAYS}, connection=ANN)
    assert made.url == event().url.replace("https://www.googleapis.com", "http://127.0.0.1:1")


def test_a_calendar_is_one_part_of_the_path() -> None:
    assert "/calendars/a%40group.example/events?" in event(calendar="a@group.example").url
    with pytest.raises(BadParams):
        event(calendar="../../users")
