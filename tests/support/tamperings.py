"""Changes that a database writer without a key can make to a chain.

Each returns the changed chain, and the sequence number and reason that verification must find.
"""

from random import Random
from typing import Any, NamedTuple

from stores.audit.chain import Chain
from stores.audit.signatures import Checkpoint, Head, Row, SignedHead
from tests.support.chains import CHAIN

FOREIGN = Chain([b"x" * 32])


class Stored(NamedTuple):
    rows: list[Row]
    head: Head | None
    checkpoint: Checkpoint | None
    # The heads in the log, which a database writer cannot change.
    logged: list[SignedHead]


Found = tuple[Stored, int, str]


def edit_the_text(rng: Random, stored: Stored) -> Found:
    row, index = _any(rng, stored), rng.randrange(10_000)
    text = row.entry
    index %= len(text)
    other = rng.choice([c for c in '09az"}' if c != text[index]])
    return _with(stored, row._replace(entry=text[:index] + other + text[index + 1 :]), "edited")


def edit_a_column(rng: Random, stored: Stored) -> Found:
    row = _any(rng, stored)
    column = rng.choice(["source", "at", "event", "action", "status", "principal"])
    value: Any = getattr(row, column)
    changed = {column: value + rng.choice([-1, 1]) if column == "at" else value + "x"}
    return _with(stored, row._replace(**changed), "edited")


def edit_the_mac(rng: Random, stored: Stored) -> Found:
    row = _any(rng, stored)
    return _with(stored, row._replace(mac=_flipped(rng, row.mac)), "edited")


def sign_with_another_key(rng: Random, stored: Stored) -> Found:
    """From one entry to the end, the head included."""
    at = rng.randrange(len(stored.rows))
    mac = stored.rows[at - 1].mac if at else _start(stored).mac
    rows = stored.rows[:at]
    for row in stored.rows[at:]:
        mac = FOREIGN.mac(mac, row.entry.replace("webhook", "another"))
        rows.append(row._replace(mac=mac))
    head = FOREIGN.head("w", rows[-1].seq, mac)
    return stored._replace(rows=rows, head=head), rows[at].seq, "edited"


def delete_entries(rng: Random, stored: Stored) -> Found:
    first, count = rng.randrange(len(stored.rows)), rng.randint(1, 5)
    rows = stored.rows[:first] + stored.rows[first + count :]
    last = first + count >= len(stored.rows)
    return stored._replace(rows=rows), stored.rows[first].seq, "cut" if last else "missing"


def swap_two_entries(rng: Random, stored: Stored) -> Found:
    first, second = sorted(rng.sample(range(len(stored.rows)), 2))
    one, other = stored.rows[first], stored.rows[second]
    rows = list(stored.rows)
    rows[first], rows[second] = other._replace(seq=one.seq), one._replace(seq=other.seq)
    return stored._replace(rows=rows), one.seq, "edited"


def insert_a_copy(rng: Random, stored: Stored) -> Found:
    """The entries after it are renumbered."""
    copied, at = rng.randrange(len(stored.rows)), rng.randrange(len(stored.rows) + 1)
    seq = stored.rows[0].seq + at
    copy = stored.rows[copied]._replace(seq=seq, source="copy")
    after = [row._replace(seq=row.seq + 1) for row in stored.rows[at:]]
    return stored._replace(rows=[*stored.rows[:at], copy, *after]), seq, "edited"


def insert_before_the_first(rng: Random, stored: Stored) -> Found:
    seq = rng.randint(-3, _start(stored).seq)
    rows = [_any(rng, stored)._replace(seq=seq), *stored.rows]
    return stored._replace(rows=rows), stored.rows[0].seq, "inserted"


def cut_the_end(rng: Random, stored: Stored) -> Found:
    rows = stored.rows[: rng.randrange(len(stored.rows))]
    return stored._replace(rows=rows), _last(stored, rows) + 1, "cut"


def cut_the_end_with_an_old_head(rng: Random, stored: Stored) -> Found:
    """With the genuine head of that time, from a backup."""
    rows = stored.rows[: rng.randrange(1, len(stored.rows))]
    head = CHAIN.head("w", rows[-1].seq, rows[-1].mac)
    return stored._replace(rows=rows, head=head), rows[-1].seq + 1, "cut"


def cut_the_end_with_a_forged_head(rng: Random, stored: Stored) -> Found:
    rows = stored.rows[: rng.randrange(1, len(stored.rows))]
    assert stored.head
    head = stored.head._replace(seq=rows[-1].seq, mac=rows[-1].mac)
    return stored._replace(rows=rows, head=head), rows[-1].seq, "head"


def cut_the_end_and_continue(rng: Random, stored: Stored) -> Found:
    """With an old head, so that the gateway itself signs new entries; the log has other heads."""
    kept = rng.randrange(1, len(stored.rows))
    rows = stored.rows[:kept]
    for row in stored.rows[kept:]:
        text = row.entry.replace("webhook", "another")
        mac = CHAIN.mac(rows[-1].mac, text)
        rows.append(row._replace(entry=text, mac=mac, action="another.save"))
    head = CHAIN.head("w", rows[-1].seq, rows[-1].mac)
    known = min(each.seq for each in stored.logged if each.seq > rows[kept - 1].seq)
    return stored._replace(rows=rows, head=head), known, "cut"


def replace_the_head(rng: Random, stored: Stored) -> Found:
    assert stored.head
    seq, mac, signature = stored.head
    heads = [
        None,
        Head(seq + rng.choice([-1, 1]), mac, signature),
        Head(seq, _flipped(rng, mac), signature),
        Head(seq, mac, _flipped(rng, signature)),
        CHAIN.head("other", seq, mac),
    ]
    return stored._replace(head=rng.choice(heads)), seq, "head"


def restore_an_old_head(rng: Random, stored: Stored) -> Found:
    row = rng.choice(stored.rows[:-1])
    return stored._replace(head=CHAIN.head("w", row.seq, row.mac)), row.seq, "head"


def delete_the_checkpoint(_: Random, stored: Stored) -> Found:
    return stored._replace(checkpoint=None), 1, "missing"


def forge_the_checkpoint(rng: Random, stored: Stored) -> Found:
    assert stored.checkpoint
    seq, mac, removed_at, signature = stored.checkpoint
    checkpoints = [
        Checkpoint(seq, _flipped(rng, mac), removed_at, signature),
        Checkpoint(seq, mac, removed_at + 1, signature),
        Checkpoint(seq, mac, removed_at, _flipped(rng, signature)),
        CHAIN.checkpoint("other", seq, mac, removed_at),
    ]
    return stored._replace(checkpoint=rng.choice(checkpoints)), seq, "checkpoint"


def move_the_checkpoint(rng: Random, stored: Stored) -> Found:
    """Also remove the entries before it, as retention would."""
    assert stored.checkpoint
    at = rng.randrange(len(stored.rows))
    row = stored.rows[at]
    moved = stored.checkpoint._replace(seq=row.seq, mac=row.mac)
    return stored._replace(rows=stored.rows[at + 1 :], checkpoint=moved), row.seq, "checkpoint"


def delete_everything(_: Random, stored: Stored) -> Found:
    return stored._replace(rows=[], head=None, checkpoint=None), 1, "cut"


TAMPERINGS = [
    edit_the_text,
    edit_a_column,
    edit_the_mac,
    sign_with_another_key,
    delete_entries,
    swap_two_entries,
    insert_a_copy,
    insert_before_the_first,
    cut_the_end,
    cut_the_end_with_an_old_head,
    cut_the_end_with_a_forged_head,
    cut_the_end_and_continue,
    replace_the_head,
    restore_an_old_head,
    delete_the_checkpoint,
    forge_the_checkpoint,
    move_the_checkpoint,
    delete_everything,
]


def _any(rng: Random, stored: Stored) -> Row:
    return rng.choice(stored.rows)


def _with(stored: Stored, row: Row, reason: str) -> Found:
    rows = [row if old.seq == row.seq else old for old in stored.rows]
    return stored._replace(rows=rows), row.seq, reason


def _start(stored: Stored) -> Checkpoint:
    assert stored.checkpoint
    return stored.checkpoint


def _last(stored: Stored, rows: list[Row]) -> int:
    return rows[-1].seq if rows else _start(stored).seq


def _flipped(rng: Random, mac: bytes) -> bytes:
    index = rng.randrange(len(mac))
    return mac[:index] + bytes([mac[index] ^ (1 << rng.randrange(8))]) + mac[index + 1 :]
