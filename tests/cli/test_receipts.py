"""`relay receipts verify`: one bit changed anywhere, and the receipt proves nothing."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from gateway.approvals.receipts import Receipt, Receipts, Signature, public_key
from gateway.cli.receipts import Refused, receipts, verified

SIGNER = Receipts(lambda: [b"a" * 32])
WIRE = {"head": "POST https://bank.example/\n\n", "body": "1"}
DIGEST = "sha256:b6afab96e5c4a5bdd9dfc5c3ad9cb6ebb9f6e6f1f2a4b8a5f3ac5ac4de5d9a9f"
RECEIPT = Receipt(
    workspace="w",
    preview_id="p-1",
    action="webhook.save",
    provider="independent",
    digest=DIGEST,
    requester="robot",
    approval=None,
    run=None,
)
ENVELOPE = msgspec.json.encode(SIGNER.sign(RECEIPT))
KEYS = msgspec.json.encode({"keys": SIGNER.public_keys()})


def test_an_envelope_verifies() -> None:
    key, receipt = verified(ENVELOPE, KEYS)
    assert (receipt, key.kid) == (RECEIPT, SIGNER.public_keys()[0].kid)


def test_no_bit_of_an_envelope_can_be_changed() -> None:
    """Payload, type, key id, signature, and the JSON around them."""
    for place in range(len(ENVELOPE)):
        for bit in range(8):
            changed = bytearray(ENVELOPE)
            changed[place] ^= 1 << bit
            with pytest.raises(Refused):
                verified(bytes(changed), KEYS)


def test_no_bit_of_the_key_can_be_changed() -> None:
    """Its id is its thumbprint."""
    start = KEYS.index(b'"x":"') + 5
    for place in range(start, start + 43):
        for bit in range(8):
            changed = bytearray(KEYS)
            changed[place] ^= 1 << bit
            with pytest.raises(Refused):
                verified(ENVELOPE, bytes(changed))


@pytest.mark.parametrize("size", [0, 29, 31, 33])
def test_a_key_of_another_size_is_refused(size: int) -> None:
    """In words, also if its id is its thumbprint."""
    key = public_key(b"k" * size)
    envelope = msgspec.structs.replace(
        SIGNER.sign(RECEIPT), signatures=[Signature(key.kid, "AA==")]
    )
    with pytest.raises(Refused, match="is damaged"):
        verified(msgspec.json.encode(envelope), msgspec.json.encode({"keys": [key]}))


def test_two_receipts_of_the_same_run_are_the_same_bytes() -> None:
    assert msgspec.json.encode(SIGNER.sign(RECEIPT)) == ENVELOPE


def run(folder: Path, *words: str, envelope: bytes = ENVELOPE) -> Result:
    (folder / "keys.json").write_bytes(KEYS)
    return CliRunner().invoke(
        receipts, ["verify", "-", "--keys", str(folder / "keys.json"), *words], input=envelope
    )


@pytest.mark.parametrize(
    ("envelope", "words"),
    [
        (b"", "This is no receipt"),
        (b"{}", "This is no receipt"),
        (b"\xff", "This is no receipt"),
        (ENVELOPE.replace(b"receipt+json", b"receipt+text"), "This is no receipt"),
        (ENVELOPE.replace(b'"signatures":[', b'"signatures":[],"x":['), "This is no receipt"),
    ],
)
def test_what_is_no_receipt_is_refused_in_one_line(
    tmp_path: Path, envelope: bytes, words: str
) -> None:
    refused = run(tmp_path, envelope=envelope)
    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"Error: {words}")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        (WIRE | {"body_base64": "MQ=="}, "The given request has two bodies."),
        ({"head": 1}, "This is no request"),
        ({"x": 0}, "This is no request"),
    ],
)
def test_what_is_no_request_is_refused(tmp_path: Path, wire: object, words: str) -> None:
    (tmp_path / "wire.json").write_text(json.dumps(wire))
    refused = run(tmp_path, "--request", str(tmp_path / "wire.json"))
    assert (refused.exit_code, refused.stderr.startswith(f"Error: {words}")) == (1, True)


def test_another_request_is_refused(tmp_path: Path) -> None:
    """Its digest is printed beside."""
    (tmp_path / "wire.json").write_text(json.dumps(WIRE))
    refused = run(tmp_path, "--request", str(tmp_path / "wire.json"))
    assert refused.exit_code == 1
    assert "another one: its digest is sha256:" in refused.stderr
