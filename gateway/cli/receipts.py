"""`relay receipts verify`: verify a receipt without a gateway, and say in words what it proves."""

import base64
import binascii
from collections.abc import Iterator
from hashlib import sha256
from typing import BinaryIO, TypeVar

import click
import msgspec
from msgspec import Struct

from gateway.approvals.receipts import (
    Envelope,
    PublicKey,
    Receipt,
    ReceiptApproval,
    ReceiptRun,
    encoded,
    public_key,
    signed_bytes,
)

T = TypeVar("T")


class _KeySet(Struct):
    keys: list[PublicKey]


class _Wire(Struct):
    head: str
    body: str = ""
    body_base64: str = ""


class _Shown(Struct):
    """What `GET /approvals/{id}` answers."""

    wire: _Wire


class Refused(click.ClickException):
    """The receipt proves nothing: exit status 1."""


@click.group()
def receipts() -> None:
    """Verify what Relay has signed."""


@receipts.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "--keys",
    type=click.File("rb"),
    required=True,
    help="The public keys: the answer of GET /receipts/keys, as you saved it.",
)
@click.option(
    "--request",
    "wire",
    type=click.File("rb"),
    help="A request as GET /approvals/{id} shows it: JSON with `head` and `body`, or with `wire`. "
    "Its digest is compared with that of the receipt.",
)
def verify(file: BinaryIO, keys: BinaryIO, wire: BinaryIO | None) -> None:
    """Verify the receipt in FILE (- for stdin) and say what it proves.

    Exit status 1 if it proves nothing.
    """
    key, receipt = verified(file.read(), keys.read())
    click.echo(f"The signature is valid. It was made with the key {key.kid}.")
    for sentence in sentences(receipt):
        click.echo(sentence)
    if wire is not None:
        _compare(wire.read(), receipt.digest)
        click.echo("The given request is the one of this receipt, byte for byte.")


def verified(envelope_text: bytes, keys_text: bytes) -> tuple[PublicKey, Receipt]:
    """The key and what it signed. Raises Refused."""
    # Loaded where it is used: it takes 6.5 MB.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    envelope = _decoded(envelope_text, Envelope, "This is no receipt")
    payload = _bytes(envelope.payload)
    for signature in envelope.signatures:
        for key in _decoded(keys_text, _KeySet, "These are no public keys").keys:
            raw = _raw(key)
            if signature.keyid != key.kid or public_key(raw) != key:
                continue
            try:
                Ed25519PublicKey.from_public_bytes(raw).verify(
                    _bytes(signature.sig), signed_bytes(payload, envelope.payloadType)
                )
            except InvalidSignature:
                raise Refused("The signature is not valid: the receipt was changed.") from None
            return key, _decoded(payload, Receipt, "The payload is no receipt")
    raise Refused("None of the given keys has signed this receipt.")


def sentences(receipt: Receipt) -> Iterator[str]:
    """What a receipt proves, a sentence each."""
    yield (
        f"{receipt.requester} asked for the preview {receipt.preview_id} of {receipt.action} "
        f"in the workspace {receipt.workspace}."
    )
    yield f"The request has the digest {receipt.digest}."
    if receipt.connection:
        yield f"It was to be sent as {receipt.account}, with the connection {receipt.connection}."
    if receipt.approval is None:
        yield "No approval was needed."
    else:
        yield from _decisions(receipt.approval)
    if receipt.run is None:
        yield "Nothing was sent."
    else:
        yield from _outcome(receipt.run)


def _decisions(approval: ReceiptApproval) -> Iterator[str]:
    for rule in approval.rules:
        yield f"The rule {rule.rule!r} needed {rule.approvals} approval(s)."
    yield f"The policies that asked: {', '.join(approval.policies)}."
    for it in approval.decisions:
        done = "approved" if it.decision == "approve" else "denied"
        reason = f": {it.reason!r}" if it.reason else ""
        yield f"{it.subject} ({it.role}, key {it.key}) {done} it at {it.decided_at}{reason}."
    if isinstance(approval.state, str):
        yield f"The approval is {approval.state} since {approval.ended_at}."


def _outcome(run: ReceiptRun) -> Iterator[str]:
    yield f"The key {run.executed_by} executed it as the run {run.run_id} at {run.intended_at}."
    answer = f"; the target answered {run.status_code}" if run.status_code else ""
    reason = f" ({run.reason})" if run.reason else ""
    yield f"The outcome at {run.ended_at} is {run.status}{reason}{answer}."
    if run.webhook_id:
        yield f"The request carried the webhook-id {run.webhook_id}."


def _compare(text: bytes, digest: str) -> None:
    try:
        wire = msgspec.json.decode(text, type=_Shown).wire
    except msgspec.DecodeError:
        wire = _decoded(text, _Wire, "This is no request")
    if wire.body and wire.body_base64:  # a person may have read the other one
        raise Refused("The given request has two bodies.")
    body = _bytes(wire.body_base64) if wire.body_base64 else wire.body.encode()
    found = f"sha256:{sha256(wire.head.encode() + body).hexdigest()}"
    if found != digest:
        raise Refused(f"The given request is another one: its digest is {found}.")


def _decoded(text: bytes, kind: type[T], wrong: str) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"{wrong}: {error}.") from None


def _raw(key: PublicKey) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(key.x + "=")
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise Refused(f"The public key {key.kid!r} is damaged.")
    return raw


def _bytes(text: str) -> bytes:
    """Base64 in its one canonical form: other forms of the same bytes are changed receipts."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("The receipt is damaged: this is no base64.") from None
    if encoded(data) != text:
        raise Refused("The receipt is damaged: its base64 is not canonical.")
    return data
