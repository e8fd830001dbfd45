"""The list of all actions."""

from collections.abc import Mapping

from gateway.actions.action import Actions, Provider
from gateway.actions.http import http_request
from gateway.actions.webhook import webhook_save


def registered(*, webhook_url: str | None, providers: Mapping[str, Provider]) -> Actions:
    """`providers`: those that the operator has configured, by name."""
    actions = (webhook_save(default_url=webhook_url), http_request())
    return {action.name: action for action in actions}
