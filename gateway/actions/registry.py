"""The list of all actions."""

from collections.abc import Mapping

from gateway.actions import google, microsoft
from gateway.actions.action import Actions, Provider
from gateway.actions.github import create_issue
from gateway.actions.http import http_request
from gateway.actions.slack import post_message
from gateway.actions.webhook import webhook_save

NOT_CONFIGURED = Provider()


def registered(*, webhook_url: str | None, providers: Mapping[str, Provider]) -> Actions:
    """`providers`: those that the operator has configured, by name."""
    at_google = providers.get("google", NOT_CONFIGURED)
    at_microsoft = providers.get("microsoft", NOT_CONFIGURED)
    actions = (
        webhook_save(default_url=webhook_url),
        http_request(),
        google.gmail_send(at_google),
        google.create_event(at_google),
        microsoft.outlook_send(at_microsoft),
        microsoft.create_event(at_microsoft),
        post_message(providers.get("slack", NOT_CONFIGURED)),
        create_issue(providers.get("github", NOT_CONFIGURED)),
    )
    return {action.name: action for action in actions}
