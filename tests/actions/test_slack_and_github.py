"""Messages at Slack and issues at GitHub."""

import json
from typing import Any

import pytest

from gateway.actions.action import BadParams, Connection, Provider
from gateway.actions.github import create_issue
from gateway.actions.slack import post_message
from gateway.effects import Effect
from tests.support.effects import SEED, effect_of

ON = Provider(enabled=True)
APP = Connection(id="c-1", provider="slack", account="Acme", subject="s-1")


def posted(**given: Any) -> Effect:
    params = {"channel": "C024BE91L", "text": "Hello", **given}
    return effect_of(post_message(ON), params, connection=APP)


def created(**given: Any) -> Effect:
    params = {"repository": "octo-cat/hello.world", "title": "It is slow", **given}
    return effect_of(create_issue(ON), params, connection=APP)


def test_a_message_is_marked_and_its_answer_is_judged() -> None:
    made = posted(thread="1503435956.000247")
    assert made.url == "https://slack.com/api/chat.postMessage"
    assert json.loads(made.body or b"") == {
        "channel": "C024BE91L",
        "text": "Hello",
        "thread_ts": "1503435956.000247",
        "metadata": {"event_type": "relay_preview", "event_payload": {"preview": SEED}},
    }
    assert made.judge == "json:/ok"
    assert made.summary == "Message from Acme to C024BE91L in a thread: Hello"


def test_a_message_to_everyone_is_warned_of() -> None:
    assert posted(text="<!here> and <!channel>").warnings == (
        "It notifies everyone by @channel.",
        "It notifies everyone by @here.",
    )
    assert posted(text="here").warnings == ()


def test_a_long_message_is_shortened_in_its_summary() -> None:
    assert posted(text="a " * 100).summary.endswith("a a…")
    assert len(posted(text="b" * 80).summary.partition(": ")[2]) == 80


@pytest.mark.parametrize(
    "given",
    [
        {"text": ""},
        {"channel": ""},
        {"thread": "1"},
        {"thread": "1503435956.000247\n"},
        {"channel": "a\nb"},
        {"text": "a" * 40_001},
    ],
)
def test_a_message_that_slack_would_not_take_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(BadParams):
        posted(**given)


def test_an_issue_is_marked_where_readers_do_not_see_it() -> None:
    made = created(body="Since **Monday**.", labels=["bug"], assignees=["ann"])
    assert made.url == "https://api.github.com/repos/octo-cat/hello.world/issues"
    assert json.loads(made.body or b"") == {
        "title": "It is slow",
        "body": f"Since **Monday**.\n\n<!-- relay:{SEED} -->",
        "labels": ["bug"],
        "assignees": ["ann"],
    }
    assert json.loads(created().body or b"")["body"] == f"<!-- relay:{SEED} -->"
    assert made.judge == "status"


def test_a_title_is_one_line() -> None:
    """It stands in the summary that approvers read."""
    with pytest.raises(BadParams) as caught:
        created(title="a\nb")
    assert caught.value.pointer == "/title"


@pytest.mark.parametrize(
    "name", ["a", "a/", "/b", "a/b/c", "-a/b", "a/..", "a/.", "a/b?c", "a--b/c", "a/b\n", "a/..\n"]
)
def test_what_is_no_repository_is_refused(name: str) -> None:
    with pytest.raises(BadParams) as caught:
        created(repository=name)
    assert caught.value.pointer == "/repository"
