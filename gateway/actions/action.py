"""An action: its name, its params, and a pure function from params to an effect."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from gateway.effects import Effect
from gateway.pointers import validation_detail

Params = TypeVar("Params")


class BadParams(Exception):
    """These params have no effect. `pointer`: the field within the params (RFC 6901)."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer


class Action(Struct, Generic[Params], frozen=True, kw_only=True):
    """`prepare` does no I/O and reads neither clock nor random numbers. Raises BadParams.

    `name`: its family, which is also its file, a dot and a verb. `provider`: whose account it
    uses, `independent` for none. `params`: a Struct that forbids unknown fields. Its JSON Schema is
    published. `enabled`: whether the operator has configured its provider, for all workspaces.
    """

    name: str
    provider: str
    title: str
    params: type[Params]
    prepare: Callable[[Params], Effect]
    enabled: bool = True

    def effect(self, params: Raw) -> Effect:
        """The effect of these params, which are JSON. Raises BadParams."""
        try:
            return self.prepare(msgspec.json.decode(params, type=self.params))
        except msgspec.ValidationError as error:
            raise BadParams(*validation_detail(error)) from error


Actions = dict[str, Action[Any]]
