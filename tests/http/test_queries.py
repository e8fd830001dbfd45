"""What stands behind the question mark: as published, or refused by its name."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from starlette.requests import Request

from gateway.api.admin.audit import AuditQuery
from gateway.api.runs import HistoryQuery
from gateway.http.requests import query
from gateway.problems import InvalidRequest
from gateway.timestamps import epoch_ms

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def asked(text: str) -> Request:
    return Request({"type": "http", "query_string": text.encode()})


RIGHT = [
    ("", HistoryQuery()),
    ("limit=1", HistoryQuery(limit=1)),
    ("limit=200", HistoryQuery(limit=200)),
    ("cursor=" + "c" * 200, HistoryQuery(cursor="c" * 200)),
    ("status=null&action=50", HistoryQuery(status="null", action="50")),
    ("principal=%C3%A9", HistoryQuery(principal="é")),
    ("since=2026-11-23T12:00:00Z", HistoryQuery(since=NOON)),
    (f"until={quote('2026-11-23T13:00:00+01:00')}", HistoryQuery(until=NOON)),
]


@pytest.mark.parametrize(("text", "right"), RIGHT)
def test_what_is_published_is_read(text: str, right: HistoryQuery) -> None:
    """The same for both listings; the audit has events besides."""
    assert query(asked(text), HistoryQuery) == right
    audit = query(asked(f"{text}&event=run.ended"), AuditQuery)
    assert audit.event == "run.ended"
    assert [getattr(audit, name) for name in right.__struct_fields__] == [
        getattr(right, name) for name in right.__struct_fields__
    ]


WRONG = [
    *[("limit", text) for text in ("0", "201", "-1", "1.5", "x", "", "٣", "9" * 5000, "1e2", " 1")],
    *[("cursor", text) for text in ("", "c" * 201, "a%00")],
    *[(name, "%00") for name in ("status", "action", "principal")],
    *[("status", text) for text in ("", "a%00%0A", "s" * 201)],
    *[("since", text) for text in ("", "1790000000", "2026-11-23", "24h", "2026-11-23T12:00:00")],
    # A plus that is not percent-encoded is a space.
    *[("until", text) for text in ("2026-11-23T13:00:00+01:00", "2026-13-01T00:00:00Z")],
    *[(name, "x") for name in ("event", "offset", "Limit", "workspace")],
]


@pytest.mark.parametrize(("name", "text"), WRONG)
def test_what_is_not_published_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^The parameter {name}: [A-Z].*[.]$"):
        query(asked(f"{name}={text}"), HistoryQuery)


def test_what_is_given_twice_is_refused() -> None:
    """It is not clear which of the two is meant."""
    with pytest.raises(InvalidRequest, match="The parameter limit"):
        query(asked("limit=5&limit=5"), HistoryQuery)


MOMENTS = [
    (datetime(1970, 1, 1, tzinfo=UTC), 0),
    (datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC), -1),
    (datetime(2026, 11, 23, 12, 0, 0, 1000, tzinfo=UTC), 1_795_435_200_001),
    (datetime(2026, 11, 23, 12, 0, 0, 1999, tzinfo=UTC), 1_795_435_200_001),
]


@pytest.mark.parametrize(("moment", "ms"), MOMENTS)
def test_a_moment_is_exact_to_the_millisecond(moment: datetime, ms: int) -> None:
    assert epoch_ms(moment) == ms
