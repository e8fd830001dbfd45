"""What administration and history take and give, made of the rows of the durable store."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from gateway.access.roles import Role, Scope
from gateway.admin.keys import EXPIRES_IN, LONGEST, NAME_MAX, OVERLAP, KeyRequest
from gateway.execution.documents import Timestamp, timestamp
from stores.audit_entries import Entry

if TYPE_CHECKING:
    from stores.audit.signatures import Row
    from stores.sql.api_keys import ApiKey
    from stores.sql.pages import RunRow
    from stores.sql.signing_secrets import SealedSecret

HOUR = timedelta(hours=1)


class CreateKeyRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """`scopes`: fewer than the role's."""

    name: Annotated[str, Meta(min_length=1, max_length=NAME_MAX)]
    role: Role
    scopes: list[Scope] | None = None
    kind: Literal["live", "test"] = "live"
    expires_in_days: Annotated[int, Meta(ge=1, le=LONGEST.days)] = EXPIRES_IN.days

    @property
    def wanted(self) -> KeyRequest:
        lifetime = timedelta(days=self.expires_in_days)
        return KeyRequest(self.name, self.role, self.scopes, self.kind == "live", lifetime)


class RotateKeyRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    overlap_hours: Annotated[int, Meta(ge=0, le=LONGEST // HOUR)] = OVERLAP // HOUR

    @property
    def overlap(self) -> timedelta:
        return self.overlap_hours * HOUR


class CreateSecretRequest(Struct, forbid_unknown_fields=True):
    pass


class Key(Struct, kw_only=True):
    """`scopes`: null for all of the role."""

    id: str
    name: str
    kind: Literal["live", "test"]
    role: str
    scopes: tuple[str, ...] | None
    created_at: Timestamp
    created_by: str
    expires_at: Timestamp
    last_used_at: Timestamp | None
    revoked_at: Timestamp | None
    revoked_by: str | None
    replaced_by: str | None


class KeyBody(Struct, kw_only=True):
    key: Key
    request_id: str


class NewKeyBody(KeyBody, kw_only=True):
    """`secret`: the key itself, this once."""

    secret: str


class KeysBody(Struct, kw_only=True):
    keys: list[Key]
    request_id: str


class Secret(Struct, kw_only=True):
    """`retires_at`: until then it still signs, beside a newer one."""

    id: str
    created_at: Timestamp
    created_by: str
    retires_at: Timestamp | None


class SecretsBody(Struct, kw_only=True):
    secrets: list[Secret]
    request_id: str


class NewSecretBody(Struct, kw_only=True):
    """`secret`: as Standard Webhooks writes one, this once."""

    id: str
    secret: str
    request_id: str


class ListedRun(Struct, kw_only=True):
    run_id: str
    preview_id: str
    action: str
    provider: str
    principal: str
    status: str
    reason: str | None
    status_code: int | None
    duration_ms: int | None
    started_at: Timestamp
    trace_link: str | None


class RunsBody(Struct, kw_only=True):
    runs: list[ListedRun]
    next_cursor: str | None
    request_id: str


class AuditEntry(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """As it was recorded, and its HMAC in hex. `unreadable`: the text of one that was changed."""

    workspace: str = ""
    seq: int
    source: str = ""
    at: Timestamp | UnsetType = UNSET  # type: ignore[assignment]
    mac: str
    unreadable: str = ""


class AuditBody(Struct, kw_only=True):
    entries: list[AuditEntry]
    next_cursor: str | None
    request_id: str


def key(row: "ApiKey") -> Key:
    return Key(
        id=row.id,
        name=row.name,
        kind="live" if row.live else "test",
        role=row.role,
        scopes=row.scopes,
        created_at=timestamp(row.created_at),
        created_by=row.created_by,
        expires_at=timestamp(row.expires_at),
        last_used_at=_time(row.last_used_at),
        revoked_at=_time(row.revoked_at),
        revoked_by=row.revoked_by,
        replaced_by=row.replaced_by,
    )


def secret(row: "SealedSecret") -> Secret:
    return Secret(
        id=row.id,
        created_at=timestamp(row.created_at),
        created_by=row.created_by,
        retires_at=_time(row.retires_at),
    )


def run(row: "RunRow") -> ListedRun:
    fields = row._asdict()
    del fields["workspace"]
    return ListedRun(**{**fields, "started_at": timestamp(row.started_at)})


def audited(row: "Row") -> AuditEntry:
    """Who has the database may have put anything there: `relay audit verify` tells."""
    try:
        recorded = row.recorded
        fields = {**asdict(recorded), "at": timestamp(recorded.at)}
    except (msgspec.DecodeError, ValueError, OverflowError, OSError):  # the last: of a year too far
        fields = {"event": row.event, "principal": row.principal, "unreadable": str(row.entry)}
    mac = row.mac.hex() if isinstance(row.mac, bytes) else str(row.mac)
    return AuditEntry(**{**fields, "seq": row.seq, "mac": mac})


def _time(epoch_ms: int | None) -> str | None:
    return None if epoch_ms is None else timestamp(epoch_ms)
