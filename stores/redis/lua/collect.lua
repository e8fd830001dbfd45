#!lua flags=allow-oom
-- Remove shipped entries from the outbox, end runs whose lease is over and approvals whose deadline
-- has passed, and return the oldest entries that wait. May write when memory is full, because shipping frees memory.
-- A run that is ended here cannot be ended elsewhere: `settle` refuses a run after its lease, and
-- `release` refuses one that was interrupted.
--   KEYS  outbox, in_flight, pending, notices
--   ARGV  run_prefix and approval_prefix (before an id in its key), channel_prefix (before an id in
--         its channel), limit (entries to return), then the ids of the entries that were shipped
-- Answer
--   {'collected', now_ms, number of entries that wait, entries: {id, fields}, oldest first,
--     number of notices that are due, number of pending approvals, of the one with the next deadline:
--     at_ms and decide_by_ms or 0, approvals that expired now: {origin (JSON), at_ms, requirement}}
-- Sent twice: changes nothing the second time.
-- include clock, approval, notices
local outbox, in_flight, pending, notices = unpack(KEYS)
local run_prefix, approval_prefix, channel_prefix, limit = unpack(ARGV, 1, 4)
local now = milliseconds()

-- Entries are deleted, never the stream: it remembers its last id, so that no id is used twice.
if ARGV[5] then redis.call('XDEL', outbox, unpack(ARGV, 5)) end
for _, run_id in ipairs(redis.call('ZRANGEBYSCORE', in_flight, '-inf', now, 'LIMIT', 0, 500)) do
  local state, preview, origin =
    unpack(redis.call('HMGET', run_prefix .. run_id, 'state', 'preview', 'origin'))
  if state == 'running' then redis.call('HSET', run_prefix .. run_id, 'state', 'interrupted') end
  redis.call('XADD', outbox, '*', 'at', now, 'entry', '{"event":"run.ended","principal":"relay",' ..
    '"run_id":"' .. run_id .. '","status":"unknown","reason":"interrupted"}',
    'preview', preview or '', 'origin', origin or '{}')
  redis.call('ZREM', in_flight, run_id)
  redis.call('PUBLISH', channel_prefix .. run_id, 'unknown')
end
local expired = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', pending, '-inf', now, 'LIMIT', 0, 100)) do
  local approval = approval_prefix .. id
  if redis.call('HGET', approval, 'state') == 'pending' then
    record_approval(outbox, approval, id, 'expired',
      '{"event":"approval.ended","principal":"relay"}', now)
    end_approval(approval, nil, pending, id, 'expired', now)
    add_notice(notices, approval, 'expired', id, now)
    redis.call('PUBLISH', channel_prefix .. id, 'expired')
    expired[#expired + 1] = redis.call('HMGET', approval, 'origin', 'at', 'requirement')
  end
  redis.call('ZREM', pending, id)
end
local waiting = redis.call('XRANGE', outbox, '-', '+', 'COUNT', limit)
local next_id = redis.call('ZRANGE', pending, 0, 0)[1]
local at, decide_by
if next_id then at, decide_by = unpack(redis.call('HMGET', approval_prefix .. next_id, 'at', 'decide_by')) end
return {'collected', now, redis.call('XLEN', outbox), waiting, redis.call('ZCOUNT', notices, '-inf', now),
  redis.call('ZCARD', pending), tonumber(at or 0), tonumber(decide_by or 0), expired}
