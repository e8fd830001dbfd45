"""An action: its name, its params, and a pure function from params to an effect."""

from collections.abc import Callable, Collection
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct

from gateway.effects import Credential, Effect
from gateway.problem import validation_detail

Params = TypeVar("Params")


class BadParams(Exception):
    """These params have no effect. `pointer`: the field within the params (RFC 6901)."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer


class Connection(Struct, frozen=True, kw_only=True):
    """What an action may know of a connection; no secret. `subject`: the account at the provider,
    `account`: its name for people. `label`: what the workspace calls the connection. `scopes`: what
    the provider granted. `header`: the name of the header that carries it.
    """

    id: str
    provider: str
    account: str
    subject: str
    label: str = ""
    scopes: Collection[str] = ()
    header: str = "Authorization"

    def credential(self, *scopes: str) -> Credential:
        """To send as this account. `scopes`: what the effect needs of those that were granted."""
        return Credential(
            connection=self.id,
            provider=self.provider,
            account=self.account,
            subject=self.subject,
            label=self.label,
            scopes=scopes,
            header=self.header,
        )


# The connection that the params name, or else the only one. Raises BadParams.
Connect = Callable[[str | None], Connection]


class Provider(NamedTuple):
    """How the operator has configured a provider. `base_url`: in tests and development, one origin
    in place of all hosts of the provider.
    """

    enabled: bool = False
    base_url: str | None = None

    def origin(self, usual: str) -> str:
        return self.base_url or usual


class Action(Struct, Generic[Params], frozen=True, kw_only=True):
    """`prepare` does no I/O and reads neither clock nor random numbers. Its second argument is the
    preview's id, in which alone two previews of the same params differ. Raises BadParams.

    `name`: its family, which is also its file, a dot and a verb. `provider`: whose account it
    uses, `independent` for none. `params`: a Struct that forbids unknown fields. Its JSON Schema is
    published. `enabled`: whether the operator has configured its provider, for all workspaces.
    `connects`: whether it needs a connection; its params then have a member `connection`. `scope`:
    what a caller needs besides `actions:preview`.
    """

    name: str
    provider: str
    title: str
    params: type[Params]
    prepare: Callable[[Params, str, Connection | None], Effect]
    enabled: bool = True
    connects: Literal["never", "optionally", "always"] = "never"
    scope: Literal["actions:http"] | None = None

    def effect(self, params: Raw, seed: str, connect: Connect) -> Effect:
        """Of these params, which are JSON. `seed`: the preview's id. Raises BadParams."""
        try:
            given: Any = msgspec.json.decode(params, type=self.params)
        except msgspec.ValidationError as error:
            raise BadParams(*validation_detail(error)) from error
        named = None if self.connects == "never" else given.connection
        wanted = self.connects == "always" or named is not None
        return self.prepare(given, seed, connect(named) if wanted else None)


Actions = dict[str, Action[Any]]
