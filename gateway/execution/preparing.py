"""From the params of a caller to the effect of an action, with the connection it needs."""

from functools import partial
from typing import Any, NamedTuple

from msgspec import Raw

from gateway import problems
from gateway.access.principal import Principal
from gateway.actions.action import Action, Actions, BadParams, Connect, Connection
from gateway.connections.credentials import Credentials
from gateway.effects import Effect
from gateway.execution import refusals
from gateway.execution.hidden_characters import hidden_characters
from gateway.problem import FieldError
from gateway.telemetry.ids import new_id


class Prepared(NamedTuple):
    preview_id: str
    action: Action[Any]
    params: Raw
    effect: Effect


class Preparation:
    def __init__(self, actions: Actions, credentials: Credentials) -> None:
        self._actions = actions
        self._credentials = credentials

    def prepare(self, principal: Principal, name: str, params: Raw) -> Prepared:
        """Raises UnknownAction, ProviderNotConfigured, Forbidden, InvalidParams,
        ConnectionOutdated, ConnectionNeedsReauth and ConnectionUnavailable.
        """
        action, preview_id = self._action(name), new_id()
        if action.scope and action.scope not in principal.scopes:
            raise problems.Forbidden(f"This key may not preview {name}: it lacks {action.scope}.")
        effect = _effect(action, params, preview_id, partial(self._connect, principal, action))
        if effect.credential and (no := self._credentials.refused(principal.workspace, effect)):
            raise refusals.not_sent(no)
        return Prepared(preview_id, action, params, effect)

    def _action(self, name: str) -> Action[Any]:
        if name not in self._actions:
            known = ", ".join(self._actions)
            raise problems.UnknownAction(f"The action is one of: {known}.")
        action = self._actions[name]
        if not action.enabled:
            raise problems.ProviderNotConfigured(
                f"The provider {action.provider} is not configured."
            )
        return action

    def _connect(
        self, principal: Principal, action: Action[Any], connection: str | None
    ) -> Connection:
        """Raises BadParams."""
        provider = action.provider if action.connects == "always" else None
        return self._credentials.find(principal.workspace, provider, connection)


def _effect(action: Action[Any], params: Raw, seed: str, connect: Connect) -> Effect:
    try:
        return action.effect(params, seed, connect)
    except BadParams as error:
        field = FieldError(f"/params{error.pointer}", str(error))
        raise problems.InvalidParams(str(error), errors=[field]) from error


def warnings_of(effect: Effect) -> list[str]:
    """What its action warns of, and what a reader of it would not see."""
    return [*effect.warnings, *hidden_characters(effect)]
