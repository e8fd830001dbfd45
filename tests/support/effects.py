"""Effects of actions, made from params without a gateway."""

import json
from typing import Any

from msgspec import Raw

from gateway.actions.action import Action, BadParams, Connection
from gateway.effects import Effect

SEED = "0b6e4f0e-8a53-4f6e-9d5c-0c7a5d1f2e3b"


def effect_of(
    action: Action[Any],
    params: Raw | str | dict[str, Any],
    *,
    connection: Connection | None = None,
    seed: str = SEED,
) -> Effect:
    """Raises BadParams."""

    def connect(_name: str | None) -> Connection:
        if connection is None:
            raise BadParams("/connection", "There is none.")
        return connection

    text = params if isinstance(params, str | Raw) else json.dumps(params)
    return action.effect(Raw(text.encode()) if isinstance(text, str) else text, seed, connect)
