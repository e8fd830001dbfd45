"""A sealed secret is opened by its key, in its place, unchanged; else not at all."""

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.sealing import Forged, Sealer, UnknownKey, key_id, place, place_of_connection

OLD, NEW = b"o" * 32, b"n" * 32
PLACE = place("default", "s-1")
SEALED, SEALED_WITH = Sealer([OLD]).seal(b"whsec canary", bound_to=PLACE)


def test_what_was_sealed_is_unsealed() -> None:
    assert Sealer([OLD]).unseal(SEALED, SEALED_WITH, bound_to=PLACE) == b"whsec canary"
    assert b"canary" not in SEALED


def test_another_implementation_opens_it() -> None:
    """AES-256-GCM: a nonce of 12 bytes, ciphertext and tag; the place is authenticated."""
    opened = AESGCM(OLD).decrypt(SEALED[:12], SEALED[12:], b"default/s-1")
    assert opened == b"whsec canary"
    assert len(SEALED) == 12 + len(opened) + 16


def test_a_key_is_named_by_a_digest_of_it() -> None:
    named = hashlib.sha256(b"relay encryption key" + OLD).hexdigest()[:16]
    assert SEALED_WITH == key_id(OLD) == named


def test_the_same_secret_is_never_sealed_alike() -> None:
    sealer = Sealer([OLD])
    assert len({sealer.seal(b"a", bound_to=PLACE)[0][:12] for _ in range(100)}) == 100


def test_the_newest_key_seals_and_all_unseal() -> None:
    both = Sealer([NEW, OLD])
    assert both.seal(b"a", bound_to=PLACE)[1] == both.newest == key_id(NEW)
    assert both.unseal(SEALED, SEALED_WITH, bound_to=PLACE) == b"whsec canary"


@given(st.integers(0, len(SEALED) * 8 - 1))
def test_every_changed_bit_is_found(bit: int) -> None:
    changed = bytearray(SEALED)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Forged):
        Sealer([OLD]).unseal(bytes(changed), SEALED_WITH, bound_to=PLACE)


@pytest.mark.parametrize("length", [0, 1, 11, 12, 27, len(SEALED) - 1])
def test_a_cut_one_is_found(length: int) -> None:
    with pytest.raises(Forged):
        Sealer([OLD]).unseal(SEALED[:length], SEALED_WITH, bound_to=PLACE)


ELSEWHERE = [
    *(place("default", "s-2"), place("team", "s-1"), ""),
    *(place_of_connection("default", "s-1", version) for version in (0, 1)),
]


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_it_opens_in_its_place_alone(elsewhere: str) -> None:
    with pytest.raises(Forged):
        Sealer([OLD]).unseal(SEALED, SEALED_WITH, bound_to=elsewhere)


def test_a_key_that_is_not_ours_is_unknown() -> None:
    with pytest.raises(UnknownKey, match=SEALED_WITH):
        Sealer([NEW]).unseal(SEALED, SEALED_WITH, bound_to=PLACE)


def test_a_key_that_claims_to_be_another_is_found() -> None:
    with pytest.raises(Forged):
        Sealer([NEW]).unseal(SEALED, key_id(NEW), bound_to=PLACE)


def test_without_a_key_nothing_is_sealed() -> None:
    with pytest.raises(UnknownKey):
        Sealer(()).seal(b"a", bound_to=PLACE)


def test_no_repr_shows_a_key() -> None:
    sealer = Sealer([OLD])
    assert repr(sealer) == f"Sealer(['{key_id(OLD)}'])"
