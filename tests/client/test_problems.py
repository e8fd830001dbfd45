"""The refusals that the gateway publishes and those that the client knows are the same."""

import json
import re
from typing import Any

from gateway.api.openapi import document
from gateway.api.routes import ENDPOINTS
from relay_client import problems
from relay_client.problem_body import ProblemBody
from relay_client.problems import BY_CODE, Problem, RelayError
from relay_client.retries import AGAIN, IN_VAIN

# What the client asks for.
CALLED = (
    ("post", "/actions/preview"),
    ("post", "/actions/execute"),
    ("get", "/actions"),
    ("get", "/runs"),
    ("get", "/runs/{run_id}"),
    ("get", "/approvals"),
    ("get", "/approvals/{preview_id}"),
    ("post", "/approvals/{preview_id}/decision"),
)
# Of HAProxy, which has no document: deploy/haproxy.cfg.
OF_THE_PROXY = {"replica_lost", "replica_silent", "no_replica"}


def published() -> set[str]:
    paths: dict[str, Any] = json.loads(document(ENDPOINTS))["paths"]
    answers = [paths[path][method]["responses"] for method, path in CALLED]
    described = [it["description"] for each in answers for it in each.values()]
    return set(re.findall(r"`([a-z_]+)`:", " ".join(described)))


def test_each_published_code_has_a_class() -> None:
    codes = published()
    assert {"preview_not_found", "own_request", "rate_limited"} <= codes
    assert codes - BY_CODE.keys() == set()
    assert BY_CODE.keys() - codes - OF_THE_PROXY == {"not_found", "not_ready", "request_timeout"}


def test_each_code_of_the_rules_is_known() -> None:
    assert (AGAIN | IN_VAIN) - BY_CODE.keys() == set()


def test_the_drawing_shows_every_class() -> None:
    """Each below its parent."""
    drawn: dict[str, int] = {}
    assert problems.__doc__
    for line in problems.__doc__.splitlines():
        if match := re.fullmatch(r"( *)([A-Z]\w+(?:, [A-Z]\w+)*)", line):
            drawn |= dict.fromkeys(match[2].split(", "), len(match[1]) // 4)

    def depths(parent: type[RelayError], depth: int) -> dict[str, int]:
        found = {parent.__name__: depth}
        for child in parent.__subclasses__():
            found |= depths(child, depth + 1)
        return found

    # RunUnknown is a RunFailed, and drawn beside it.
    assert drawn == {**depths(RelayError, 0), "RunUnknown": 1}


def test_a_code_of_tomorrow_is_a_problem() -> None:
    body = ProblemBody(code="of_tomorrow", detail="Wait.", request_id="q-1")
    problem = problems.problem_of(body, status=418, retry_after=None)
    assert type(problem) is Problem
    assert str(problem) == "Wait. (of_tomorrow, request q-1)"
