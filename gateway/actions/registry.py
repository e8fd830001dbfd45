"""The list of all actions."""

from gateway.actions.action import Actions
from gateway.actions.webhook import webhook_save


def registered(*, webhook_url: str | None) -> Actions:
    actions = (webhook_save(default_url=webhook_url),)
    return {action.name: action for action in actions}
