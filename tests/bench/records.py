"""Fill a store with the records of finished runs, by copying those of one real run."""

from hashlib import sha256
from typing import NamedTuple

from tests.bench.subjects import Subject
from tests.bench.traffic import Traffic

# Copies keep value and expiry. The id in the key's name is replaced by a number of its length.
COPIES = """
for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  for at, source in ipairs(KEYS) do
    local id = ARGV[2 + at]
    local first, last = string.find(source, id, 1, true)
    local other = string.format('%0' .. #id .. 'd', number)
    local name = string.sub(source, 1, first - 1) .. other .. string.sub(source, last + 1)
    redis.call('COPY', source, name)
  end
end
"""
AT_ONCE = 5_000
KEY = "bench-record"


class Filled(NamedTuple):
    """`bytes_each`: what one finished run takes in the store, its keys and overhead included."""

    records: int
    bytes_each: float


async def fill(subject: Subject, sink: int, records: int) -> Filled:
    """Execute once and copy the keys of that run until there are so many."""
    assert subject.store
    preview_id, run_id = await Traffic(subject, sink).execute_once(KEY)
    ids = (preview_id, run_id, sha256(KEY.encode()).hexdigest())
    with subject.store.client() as client:
        keys = {
            key.decode(): each for key in client.scan_iter() for each in ids if each in key.decode()
        }
        assert len(keys) == len(ids), sorted(keys)
        before = client.info("memory")["used_memory"]
        for first in range(1, records, AT_ONCE):
            last = min(first + AT_ONCE, records) - 1
            client.eval(COPIES, len(keys), *keys, first, last, *keys.values())
        grown = client.info("memory")["used_memory"] - before
        assert client.dbsize() >= len(keys) * records
    return Filled(records, grown / (records - 1))
