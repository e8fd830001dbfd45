"""The tree of refusals: the drawing, the classes, and what a refusal looks like on the wire."""

import re
from pathlib import Path

import msgspec

from gateway import problems
from gateway.http.responses import CheckBody, problem_response
from gateway.problem import FieldError, Problem
from gateway.problems import code

LEVEL = "    "


def drawn() -> set[tuple[str, str, int]]:
    """Each line of the drawing as (class, class above, status)."""
    found, above = set(), ["Problem"]
    for line in (problems.__doc__ or "").splitlines():
        if match := re.fullmatch(rf"((?:{LEVEL})+)([\w, ]+) (\d{{3}})", line):
            depth, siblings = len(match[1]) // len(LEVEL), match[2].split(", ")
            found |= {(name, above[depth - 1], int(match[3])) for name in siblings}
            above[depth:] = [siblings[-1]]
    return found


def classes(root: type[Problem] = Problem) -> set[tuple[str, str, int]]:
    found = set()
    for kind in root.__subclasses__():
        found |= {(kind.__name__, root.__name__, kind.status)} | classes(kind)
    return found


def body_of(problem: Problem) -> dict[str, object]:
    response = problem_response(problem, "r-1")
    return dict(msgspec.json.decode(response.body))


def test_the_tree_is_as_drawn() -> None:
    """Names, nesting and statuses of the docstring are those of the classes."""
    assert drawn() == classes()
    assert len(drawn()) > 40


def test_a_class_is_a_status_and_a_title() -> None:
    """Each defines both itself; titles differ. Some say whether a retry is safe."""
    kinds = [getattr(problems, name) for name, _, _ in classes()]
    for kind in kinds:
        own = {name for name in vars(kind) if not name.startswith("__")}
        assert own - {"safe_to_retry"} == {"status", "title"}, kind
        assert 400 <= kind.status < 600
    assert len({kind.title for kind in kinds}) == len(kinds)


def test_the_code_is_the_class_name_in_snake_case() -> None:
    """One underscore before each inner capital."""
    assert code(problems.NotFound) == "not_found"
    assert code(problems.MalformedJson) == "malformed_json"
    assert code(problems.PreviewAlreadyExecuted) == "preview_already_executed"
    codes = {code(getattr(problems, name)) for name, _, _ in classes()}
    assert len(codes) == len(classes())


def test_each_conflict_is_explained() -> None:
    """The operator's page has a row for every code that is answered with 409."""
    page = (Path(__file__).parent.parent / "deploy/README.md").read_text()
    rows = page.partition("## Why 409")[2].partition("\n## ")[0]
    explained = re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE)
    kinds = [getattr(problems, name) for name, _, _ in classes()]
    conflicts = {problems.code(kind) for kind in kinds if kind.status == 409}
    assert sorted(explained) == sorted(conflicts)


def test_a_refusal_is_rendered_as_rfc_9457() -> None:
    """Type, title, status, detail, code and request_id; nothing that was not said."""
    response = problem_response(problems.PreviewNotFound("Ask again."), "r-1")
    assert (response.status_code, response.media_type) == (404, "application/problem+json")
    assert response.headers["content-type"] == "application/problem+json"
    assert msgspec.json.decode(response.body) == {
        "type": "/problems/preview_not_found",
        "title": "Invalid or expired preview_id",
        "status": 404,
        "detail": "Ask again.",
        "code": "preview_not_found",
        "request_id": "r-1",
    }


def test_the_members_that_apply_are_rendered() -> None:
    """errors, run_id, safe_to_retry and checks appear when they are given, also when false."""
    field = FieldError("/params/url", "Wrong.")
    assert body_of(problems.InvalidParams("No.", errors=[field]))["errors"] == [
        {"pointer": "/params/url", "detail": "Wrong."}
    ]
    assert body_of(problems.RunExpired("Gone.", run_id="x"))["run_id"] == "x"
    assert body_of(problems.TargetUnreachable("No.", safe_to_retry=True))["safe_to_retry"] is True
    assert body_of(problems.TargetUnreachable("No.", safe_to_retry=False))["safe_to_retry"] is False
    check = {"name": "store", "verdict": "failed", "detail": "No."}
    refused = problems.NotReady("No.", checks=[msgspec.convert(check, CheckBody)])
    assert body_of(refused)["checks"] == [check]


def test_a_refusal_brings_its_headers() -> None:
    """Retry-After and Location stand beside the content type."""
    headers = {"Retry-After": "1", "Location": "/runs/x"}
    response = problem_response(problems.RunInProgress("Wait.", headers=headers), "r-1")
    assert response.headers["retry-after"] == "1"
    assert response.headers["location"] == "/runs/x"
    assert response.headers["content-type"] == "application/problem+json"
