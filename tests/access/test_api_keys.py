"""A key shows junk by itself, and what is kept of it tells nothing."""

import random
import re
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access import api_keys
from gateway.access.api_keys import (
    BASE62,
    CHECKSUM,
    LENGTH,
    SECRET,
    checksum,
    digest,
    make,
    matches,
    parse,
)

PRINTABLE = "".join(map(chr, range(32, 127)))


@pytest.mark.parametrize("live", [True, False])
def test_a_made_key_is_read_again(live: bool) -> None:
    made = make(live=live)
    assert parse(made.text) == made
    assert made.live is live
    kind = "live" if live else "test"
    assert re.fullmatch(rf"rly_{kind}_{made.id}[0-9A-Za-z]{{38}}", made.text)


def test_the_secret_has_190_bits() -> None:
    assert len(set(BASE62)) == 62
    assert SECRET * log2(62) >= 190


def test_the_secret_uses_the_whole_alphabet() -> None:
    """1,000 keys: no character is missing at any place, and no id or secret comes twice."""
    texts = [make(live=True).text[9:-CHECKSUM] for _ in range(1000)]
    assert all(set(place) == set(BASE62) for place in zip(*texts, strict=True))
    assert len({text[:8] for text in texts}) == len({text[8:] for text in texts}) == 1000


@given(st.randoms(), st.integers(0, LENGTH - 1), st.characters())
def test_every_change_of_one_character_is_refused(
    dice: random.Random, place: int, other: str
) -> None:
    start = "rly_live_" + "".join(dice.choices(BASE62, k=40))
    text = start + checksum(start)
    assert parse(text)
    changed = text[:place] + other + text[place + 1 :]
    assert changed == text or parse(changed) is None


def test_every_change_of_one_character_to_another_of_the_alphabet_is_refused() -> None:
    text = make(live=False).text
    for place in range(LENGTH):
        for other in set(BASE62 + "_") - {text[place]}:
            assert parse(text[:place] + other + text[place + 1 :]) is None


def test_two_neighbours_that_are_swapped_are_refused() -> None:
    text = make(live=True).text
    for place in range(LENGTH - 1):
        swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
        assert swapped == text or parse(swapped) is None


def test_a_test_key_cannot_be_called_a_live_one() -> None:
    assert parse(make(live=False).text.replace("test", "live")) is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert parse(text) is None


def test_junk_is_refused() -> None:
    """10,000 strings, half of them of the right form but for the checksum."""
    dice = random.Random(1)
    for _ in range(5000):
        assert parse("".join(dice.choices(PRINTABLE, k=dice.randrange(100)))) is None
        form = "".join(dice.choices(BASE62, k=LENGTH - 9))
        assert parse("rly_live_" + form) is None


EDGES = {
    "nothing": "",
    "a prefix": "rly_live_",
    "a lone surrogate": "rly_live_" + "\ud800" * 46,
    "letters beyond ASCII": "rly_live_" + "é" * 46,
    "digits beyond ASCII": "rly_live_" + "٣" * 46,
    "a megabyte": "rly_live_" + "a" * 1_000_000,
    "letters beyond ASCII, summed up": "rly_live_" + "é" * 40 + checksum("rly_live_" + "é" * 40),
    "no letters": "rly_live_" + "-" * 40 + checksum("rly_live_" + "-" * 40),
    "another prefix": "rly_beta_" + "a" * 40 + checksum("rly_beta_" + "a" * 40),
    "one character less": "rly_live_" + "a" * 39 + checksum("rly_live_" + "a" * 39),
    "one character more": "rly_live_" + "a" * 41 + checksum("rly_live_" + "a" * 41),
}


@pytest.mark.parametrize("text", EDGES.values(), ids=EDGES.keys())
def test_what_is_almost_a_key_is_refused(text: str) -> None:
    assert parse(text) is None
    whole = make(live=True).text
    assert parse(whole + "\n") is parse(" " + whole) is None


def test_the_form_is_the_one_that_scanners_know() -> None:
    """Stated apart from the code: CRC32 of all before it, in base62, 0-9A-Za-z, six places."""
    text = "rly_live_abcdefgh" + "0" * 32 + "0Clq1Q"
    assert parse(text) == api_keys.Parsed(text, "abcdefgh", live=True)


def test_a_digest_matches_under_any_pepper() -> None:
    text = make(live=True).text
    kept = digest(b"old", text)
    assert len(kept) == 32
    assert matches([b"new", b"old"], text, kept)
    assert not matches([b"new"], text, kept)
    assert not matches([b"new", b"old"], make(live=True).text, kept)
    assert not matches([b"new", b"old"], text, api_keys.NO_DIGEST)


def test_no_repr_shows_the_key() -> None:
    made = make(live=True)
    assert repr(made) == f"Parsed(id='{made.id}', live=True)"
    assert made.text not in f"{made} {[made]} {made!s}"
