"""Issues at GitHub, as an account of the workspace."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gateway.actions.action import Action, BadParams, Connection, Provider
from gateway.actions.headers import with_defaults
from gateway.actions.mail import LINE
from gateway.effects import Effect

GITHUB = "https://api.github.com"
API_VERSION = "2022-11-28"
# A body has at most 65,536 characters, the mark included.
BODY_MAX = 65_000


class IssueParams(Struct, forbid_unknown_fields=True, kw_only=True):
    connection: Annotated[
        str | None,
        Meta(
            description="The id or name of the connection to write as; the only one if left out",
            examples=["octocat"],
        ),
    ] = None
    repository: Annotated[
        str,
        Meta(
            description="Owner and name",
            pattern=r"^[A-Za-z0-9](-?[A-Za-z0-9]){0,38}/[A-Za-z0-9._-]{1,100}$(?!\n)",
            examples=["octocat/hello-world"],
        ),
    ]
    title: Annotated[
        str,
        Meta(
            description="One line",
            min_length=1,
            max_length=256,
            pattern=LINE,
            examples=["It is slow"],
        ),
    ]
    body: Annotated[
        str, Meta(description="In Markdown", max_length=BODY_MAX, examples=["Since **Monday**."])
    ] = ""
    labels: Annotated[
        list[str], Meta(description="Names of labels", max_length=100, examples=[["bug"]])
    ] = []
    assignees: Annotated[
        list[str],
        Meta(description="Accounts that it is given to", max_length=10, examples=[["ann"]]),
    ] = []


def mark(seed: str) -> str:
    """By which an issue is found again; readers do not see it."""
    return f"<!-- relay:{seed} -->"


def create_issue(provider: Provider) -> Action[IssueParams]:
    def prepare(params: IssueParams, seed: str, connection: Connection | None) -> Effect:
        assert connection
        if params.repository.endswith(("/.", "/..")):
            raise BadParams("/repository", "This is no name of a repository.")
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION}
        return Effect(
            method="POST",
            url=f"{provider.origin(GITHUB)}/repos/{params.repository}/issues",
            headers=with_defaults(headers, content_type="application/json"),
            body=msgspec.json.encode(_document(params, seed)),
            summary=f"Issue from {connection.account} in {params.repository}: {params.title}",
            credential=connection.credential("repo"),
        )

    return Action(
        name="github.issues.create",
        provider="github",
        title="Create an issue at GitHub",
        params=IssueParams,
        prepare=prepare,
        enabled=provider.enabled,
        connects="always",
    )


def _document(params: IssueParams, seed: str) -> dict[str, Any]:
    marked = f"{params.body}\n\n{mark(seed)}" if params.body else mark(seed)
    return {
        "title": params.title,
        "body": marked,
        **({"labels": params.labels} if params.labels else {}),
        **({"assignees": params.assignees} if params.assignees else {}),
    }
