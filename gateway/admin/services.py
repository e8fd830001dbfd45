"""Whoever makes keys, secrets and workspaces in this installation, for commands and requests."""

from typing import TYPE_CHECKING, NamedTuple

from gateway.admin.keys import Issuing
from gateway.admin.signing_secrets import SigningSecrets
from gateway.admin.workspaces import Workspaces
from gateway.config.local_keys import audit_keys, peppers, sealer
from gateway.config.settings import Settings
from gateway.transaction import Changes

if TYPE_CHECKING:
    from stores.sql.database import Database


class Issuers(NamedTuple):
    keys: Issuing
    secrets: SigningSecrets
    workspaces: Workspaces


def issuers(settings: Settings, database: "Database") -> Issuers:
    """Raises SettingsError."""
    from stores.audit.chain import Chain

    changes = Changes(database, Chain(audit_keys(settings)))
    return Issuers(
        keys=Issuing(changes, pepper=peppers(settings)[0]),
        secrets=SigningSecrets(changes, sealer(settings)),
        workspaces=Workspaces(changes),
    )
