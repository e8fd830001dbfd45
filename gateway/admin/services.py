"""The services that change keys, secrets, channels, connections, workspaces and sessions, for
requests and commands.
"""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.access.sealing import Sealer
from gateway.admin.channels import Channels, CheckTarget
from gateway.admin.connections import Connections
from gateway.admin.keys import KeyAdmin
from gateway.admin.sessions import Sessions
from gateway.admin.signing_secrets import SigningSecrets
from gateway.admin.workspaces import Workspaces
from gateway.transaction import Transactions
from stores.audit.chain import Chain
from stores.sql.database import Database


class Services(NamedTuple):
    keys: KeyAdmin
    secrets: SigningSecrets
    channels: Channels
    connections: Connections
    workspaces: Workspaces
    sessions: Sessions
    transactions: Transactions


def services(
    database: Database,
    *,
    audit_keys: Sequence[bytes],
    pepper: bytes,
    sealer: Sealer,
    check_target: CheckTarget,
) -> Services:
    """`audit_keys`: newest first. `pepper`: the newest."""
    transactions = Transactions(database, Chain(audit_keys))
    return Services(
        keys=KeyAdmin(transactions, pepper=pepper),
        secrets=SigningSecrets(transactions, sealer),
        channels=Channels(transactions, check_target),
        connections=Connections(transactions, sealer, check_target),
        workspaces=Workspaces(transactions),
        sessions=Sessions(transactions),
        transactions=transactions,
    )
