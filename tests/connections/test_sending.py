"""A target that repeats what it was sent shows no secret to the caller."""

import pytest

from gateway.config.secret import Secret
from gateway.connections.sending import HIDDEN, without
from gateway.outcomes import Answered
from tests.support.accounts import Office
from tests.support.target import status

SECRET = "s3cr3t-0123456789"
VALUES = (f"Bearer {SECRET}",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("nothing", "nothing"),
        (f'{{"Authorization": "Bearer {SECRET}"}}', f'{{"Authorization": "Bearer {HIDDEN}"}}'),
        (f"{SECRET}{SECRET}", HIDDEN * 2),
        (f"cut {SECRET[:-1]}", f"cut {HIDDEN}"),
        (f"cut {SECRET[:5]}", f"cut {HIDDEN}"),
        (f"cut {SECRET[:4]}", f"cut {SECRET[:4]}"),
    ],
)
def test_a_secret_is_hidden(text: str, expected: str) -> None:
    """A text that was cut may end within it; a few letters are no secret."""
    assert without(text, VALUES) == expected


def test_a_short_value_hides_nothing() -> None:
    """It may be part of any word."""
    assert without("a bearer of news", ("Bearer of",)) == "a bearer of news"


async def test_an_echo_shows_no_secret(office: Office) -> None:
    """The status stays."""
    office.tokens.token = Secret(SECRET.encode())
    office.target.answer = status(200, f"you sent {SECRET}".encode())
    outcome = await office.send(office.effect())
    assert isinstance(outcome, Answered)
    assert (outcome.status_code, outcome.response) == (200, f"you sent {HIDDEN}")
