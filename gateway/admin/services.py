"""Whoever makes keys, secrets and workspaces in this installation, for commands and requests."""

from typing import TYPE_CHECKING, NamedTuple

from gateway.admin.keys import KeyAdmin
from gateway.admin.signing_secrets import SigningSecrets
from gateway.admin.workspaces import Workspaces
from gateway.config.local_keys import audit_keys, peppers, sealer
from gateway.config.settings import Settings
from gateway.transaction import Transactions

if TYPE_CHECKING:
    from stores.sql.database import Database


class Services(NamedTuple):
    keys: KeyAdmin
    secrets: SigningSecrets
    workspaces: Workspaces


def services(settings: Settings, database: "Database") -> Services:
    """Raises SettingsError."""
    from stores.audit.chain import Chain

    transactions = Transactions(database, Chain(audit_keys(settings)))
    return Services(
        keys=KeyAdmin(transactions, pepper=peppers(settings)[0]),
        secrets=SigningSecrets(transactions, sealer(settings)),
        workspaces=Workspaces(transactions),
    )
