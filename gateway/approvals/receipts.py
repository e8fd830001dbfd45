"""Receipts: what was asked, approved, sent and answered, signed so that anyone can verify it.

A receipt is made when a caller asks for it, from audit entries that are verified first. The same
run gives the same payload each time. The envelope is a DSSE (github.com/secure-systems-lab/dsse,
1.0) with an Ed25519 signature. The keys derive from those of the audit, so that all replicas sign
alike; older ones stay published, and what they signed stays valid.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.timestamps import Timestamp, timestamp
from stores.approvals import Decider, Decision, RuleNeed, State
from stores.audit.signatures import Recorded

PayloadType = Literal["application/vnd.relay.receipt+json"]
PAYLOAD_TYPE: PayloadType = "application/vnd.relay.receipt+json"


class DecisionBody(Struct, kw_only=True):
    """One decision, in receipts and in lists. `key`: the id of the API key."""

    decision: Decision
    subject: str
    key: str
    role: str
    reason: str
    decided_at: Timestamp


class ReceiptApproval(Struct, kw_only=True):
    """`policies`: the digests of the policies that asked. `state`, `requested_at` and `ended_at`:
    in the receipt of an approval.
    """

    rules: Sequence[RuleNeed]
    policies: Sequence[str]
    decisions: Sequence[DecisionBody]
    state: State | UnsetType = UNSET
    requested_at: Timestamp | UnsetType = UNSET
    ended_at: Timestamp | UnsetType = UNSET


class ReceiptRun(Struct, kw_only=True):
    """`executed_by`: the id of the API key. `key_sha256`: of the idempotency key, hex.
    `webhook_id`: what the request carried, if it was signed. `intended_at`: before it was sent.
    """

    run_id: str
    executed_by: str
    key_sha256: str
    status: str
    reason: str | None
    status_code: int | None
    webhook_id: str | None
    intended_at: Timestamp
    ended_at: Timestamp
    duration_ms: int


class Receipt(Struct, kw_only=True, tag="relay-receipt-1", tag_field="receipt"):
    """What a receipt says. `digest`: of the request. `connection` and `account`: as whom it is
    sent, which the digest does not cover; left out without a connection. `requester`: the subject
    that asked for the preview. `approval`: null if none was needed. `run`: null if there is none.
    """

    workspace: str
    preview_id: str
    action: str
    provider: str
    digest: str
    connection: str | UnsetType = UNSET
    account: str | UnsetType = UNSET
    requester: str
    approval: ReceiptApproval | None
    run: ReceiptRun | None


class Signature(Struct, forbid_unknown_fields=True):
    keyid: str
    sig: str


class Envelope(Struct, forbid_unknown_fields=True):
    """A DSSE envelope. `payload`: a Receipt, JSON in base64."""

    payload: str
    payloadType: PayloadType  # noqa: N815 - DSSE names it
    signatures: Sequence[Signature]


class PublicKey(Struct, kw_only=True):
    """A key of a JSON Web Key Set (RFC 7517, RFC 8037). `kid`: its thumbprint (RFC 7638)."""

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    x: str
    kid: str
    use: Literal["sig"] = "sig"
    alg: Literal["EdDSA"] = "EdDSA"


class Receipts:
    def __init__(self, audit_keys: Callable[[], Sequence[bytes]]) -> None:
        """`audit_keys`: newest first; called when the first receipt is asked for."""
        self._audit_keys = audit_keys

    def sign(self, receipt: Receipt) -> Envelope:
        """Raises SettingsError."""
        key = _key(self._audit_keys()[0])
        payload = msgspec.json.encode(receipt)
        signature = Signature(key.public.kid, encoded(key.sign(signed_bytes(payload))))
        return Envelope(encoded(payload), PAYLOAD_TYPE, [signature])

    def public_keys(self) -> list[PublicKey]:
        """Newest first. Raises SettingsError."""
        return [_key(key).public for key in self._audit_keys()]


def of_run(intended: Recorded, ended: Recorded) -> Receipt:
    approval = None
    if facts := intended.approval:
        approval = ReceiptApproval(
            rules=facts.needs,
            policies=facts.policies,
            decisions=[decision_body(it) for it in facts.deciders],
        )
    return Receipt(
        workspace=intended.workspace,
        preview_id=intended.preview_id,
        action=intended.action,
        provider=intended.provider,
        digest=intended.digest,
        connection=intended.connection or UNSET,
        account=intended.account or UNSET,
        requester=intended.requester,
        approval=approval,
        run=_run(intended, ended),
    )


def of_approval(entries: Sequence[Recorded], run: Sequence[Recorded]) -> Receipt:
    """`entries`: of the approval, from its request on. `run`: its intent and ending, or none."""
    requested, last = entries[0], entries[-1]
    facts = requested.approval
    assert facts is not None
    state = "executed" if run else last.status
    return Receipt(
        workspace=requested.workspace,
        preview_id=requested.preview_id,
        action=requested.action,
        provider=requested.provider,
        digest=requested.digest,
        connection=requested.connection or UNSET,
        account=requested.account or UNSET,
        requester=facts.requester,
        approval=ReceiptApproval(
            rules=facts.needs,
            policies=facts.policies,
            decisions=[decision_body(it) for it in map(_decider, entries) if it],
            state=msgspec.convert(state, State),
            requested_at=timestamp(requested.at),
            ended_at=timestamp(last.at),
        ),
        run=_run(*run) if run else None,
    )


def signed_bytes(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """What the signature covers: DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _run(intended: Recorded, ended: Recorded) -> ReceiptRun:
    return ReceiptRun(
        run_id=intended.run_id,
        executed_by=intended.principal,
        key_sha256=intended.key_hash,
        status=ended.status,
        reason=ended.reason or None,
        status_code=ended.status_code or None,
        webhook_id=intended.run_id if intended.signed and ended.status != "not_sent" else None,
        intended_at=timestamp(intended.at),
        ended_at=timestamp(ended.at),
        duration_ms=ended.duration_ms,
    )


def _decider(entry: Recorded) -> Decider | None:
    if entry.event != "approval.decided" or (facts := entry.approval) is None:
        return None
    return Decider(
        decision=msgspec.convert(facts.decision, Decision),
        subject=facts.approver,
        key=entry.principal,
        role=facts.role,
        reason=entry.detail,
        at=entry.at,
    )


def decision_body(it: Decider) -> DecisionBody:
    return DecisionBody(
        decision=it.decision,
        subject=it.subject,
        key=it.key,
        role=it.role,
        reason=it.reason,
        decided_at=timestamp(it.at),
    )


class _Key(NamedTuple):
    sign: Callable[[bytes], bytes]
    public: PublicKey


def _key(audit_key: bytes) -> _Key:
    # Loaded where it is used: it takes 6.5 MB.
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    # HKDF with one block (RFC 5869): the audit and the receipts have keys of their own.
    extracted = hmac.digest(b"relay receipt", audit_key, "sha256")
    seed = hmac.digest(extracted, b"\x01", "sha256")
    private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    return _Key(private.sign, public_key(private.public_key().public_bytes_raw()))


def public_key(raw: bytes) -> PublicKey:
    """The key with its thumbprint."""
    x = _base64url(raw)
    members = b'{"crv":"Ed25519","kty":"OKP","x":"%b"}' % x.encode()
    return PublicKey(x=x, kid=_base64url(hashlib.sha256(members).digest()))


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
