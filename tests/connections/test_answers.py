"""What a token endpoint answers is read without trust in its form."""

import json
from typing import Any

import pytest

from gateway.config.secret import Secret
from gateway.connections import answers
from gateway.connections.answers import Declined, Grant
from gateway.connections.grants import kept_of
from gateway.connections.providers import FACTS, Client
from gateway.outcomes import Answered, NoResponse, NotSent, TargetRefused

TOKEN = {"access_token": "a-1"}


def read(said: Any, provider: str = "google", status: int = 200) -> Grant | Declined:
    text = said if isinstance(said, str) else json.dumps(said)
    client = Client(FACTS[provider], "id", Secret(b"s"))
    return answers.read(Answered(status_code=status, response=text, truncated=False), client)


@pytest.mark.parametrize(
    ("provider", "said", "life", "kind"),
    [
        ("google", {**TOKEN, "expires_in": 3599, "refresh_token": "r"}, 3599, "refresh"),
        ("google", {**TOKEN, "refresh_token": "r"}, 3600, "refresh"),
        ("google", {**TOKEN, "expires_in": "120", "refresh_token": "r"}, 120, "refresh"),
        ("google", {**TOKEN, "expires_in": -1}, 3600, None),
        ("google", TOKEN, 3600, None),
        ("github", TOKEN, None, "lasting"),
        # A GitHub App, and Slack with token rotation.
        ("github", {**TOKEN, "expires_in": 28800, "refresh_token": "r"}, 28800, "refresh"),
        ("slack", {**TOKEN, "ok": True}, None, "lasting"),
        (
            "slack",
            {**TOKEN, "ok": True, "expires_in": 43200, "refresh_token": "r"},
            43200,
            "refresh",
        ),
    ],
)
def test_a_grant_is_kept_by_what_lasts(
    provider: str, said: dict[str, Any], life: int | None, kind: str | None
) -> None:
    """A refresh token, or an access token that does not expire; never one that does."""
    grant = read(said, provider)
    assert isinstance(grant, Grant)
    assert grant.life == life
    kept = kept_of(grant)
    assert (kept and kept.kind) == kind
    assert "a-1" not in repr(grant)
    assert "r'" not in repr(kept)


@pytest.mark.parametrize(
    ("status", "said", "declined"),
    [
        (400, {"error": "invalid_grant"}, Declined("grant", "invalid_grant")),
        (401, {"error": "invalid_client"}, Declined("client", "invalid_client")),
        (200, {"error": "incorrect_client_credentials"}, None),
        (400, {"error": "invalid_request"}, Declined("passing", "invalid_request")),
        (503, {"error": "invalid_grant"}, Declined("passing", "invalid_grant")),
        (429, {"error": "invalid_client"}, Declined("passing", "invalid_client")),
        (400, {"error": "ann@x.example"}, Declined("passing", "unreadable")),
        (500, "<html>", Declined("passing", "status_500")),
        (200, "<html>", Declined("passing", "no_access_token")),
        (200, [], Declined("passing", "no_access_token")),
        (200, {"access_token": ""}, Declined("passing", "no_access_token")),
        (200, {"access_token": "a\r\nb"}, Declined("passing", "no_access_token")),
        (200, {"access_token": 1}, Declined("passing", "no_access_token")),
    ],
)
def test_a_refusal_says_who_can_help(status: int, said: Any, declined: Declined | None) -> None:
    """An answer of which nothing is clear may be passing; a description is never kept."""
    client = Declined("client", "incorrect_client_credentials")
    assert read(said, status=status) == (declined or client)


@pytest.mark.parametrize("outcome", [NoResponse("x"), NotSent("x"), TargetRefused("x")])
def test_no_answer_may_be_passing(outcome: NoResponse | NotSent | TargetRefused) -> None:
    client = Client(FACTS["google"], "id", Secret(b"s"))
    assert answers.read(outcome, client) == Declined("passing", "no_answer")


def test_scopes_are_named_as_they_were_asked_for() -> None:
    """Microsoft may put its resource before them, and GitHub commas between."""
    graph = read({**TOKEN, "scope": "https://graph.microsoft.com/Mail.Send openid"}, "microsoft")
    github = read({**TOKEN, "scope": "repo,gist"}, "github")
    assert isinstance(graph, Grant)
    assert isinstance(github, Grant)
    assert graph.scopes == frozenset({"Mail.Send", "openid"})
    assert github.scopes == frozenset({"repo", "gist"})
