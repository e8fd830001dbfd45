-- Append entries to the outbox of the audit.
--   KEYS  outbox
--   ARGV  for each entry: source (unique), at_ms, entry (JSON)
-- Answer
--   {'recorded'}
-- Sent twice: appends twice; the shipper keeps each source once.
local outbox = KEYS[1]

for first = 1, #ARGV, 3 do
  local source, at, entry = ARGV[first], ARGV[first + 1], ARGV[first + 2]
  redis.call('XADD', outbox, '*', 'source', source, 'at', at, 'entry', entry)
end
return {'recorded'}
