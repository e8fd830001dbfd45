#!lua flags=allow-oom
-- Forget what has been shipped, give up runs whose lease is over, and say what is to be shipped.
-- A run that is given up here cannot be ended elsewhere: `settle` comes after its lease, and
-- `release` finds its state. May write when memory is full: to ship is what frees it.
--   KEYS  outbox, in_flight
--   ARGV  run_prefix, how many entries at most, then the ids that were shipped
-- Answer
--   {'collected', now_ms, entries that wait, entries: {id, fields}, oldest first}
-- Sent twice: changes nothing the second time.
-- include clock
local outbox, in_flight = unpack(KEYS)
local run_prefix, most = ARGV[1], ARGV[2]
local now = milliseconds()

-- Never the whole stream: it remembers the last id, and an id names an entry for good.
if ARGV[3] then redis.call('XDEL', outbox, unpack(ARGV, 3)) end
for _, run_id in ipairs(redis.call('ZRANGEBYSCORE', in_flight, '-inf', now, 'LIMIT', 0, 500)) do
  local state, preview, origin =
    unpack(redis.call('HMGET', run_prefix .. run_id, 'state', 'preview', 'origin'))
  if state == 'running' then redis.call('HSET', run_prefix .. run_id, 'state', 'interrupted') end
  redis.call('XADD', outbox, '*', 'at', now, 'entry', '{"event":"run.ended","principal":"relay",' ..
    '"run_id":"' .. run_id .. '","status":"unknown","reason":"interrupted"}',
    'preview', preview or '', 'origin', origin or '{}')
  redis.call('ZREM', in_flight, run_id)
end
local waiting = redis.call('XRANGE', outbox, '-', '+', 'COUNT', most)
return {'collected', now, redis.call('XLEN', outbox), waiting}
