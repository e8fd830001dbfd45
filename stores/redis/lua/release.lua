#!lua flags=allow-oom
-- Give a run back as if it never was, because nothing was sent. The audit records that, because it
-- has the intent already. May write when memory is full, because the run must end.
-- A mark stays on the run's key for a while: the network may deliver a `reserve` after its own
-- `release`, and the mark stops it from opening a run that no gateway sends.
--   KEYS  run, preview, reservation, outbox, in_flight
--   ARGV  run_id, channel, mark_ms (how long the mark stays), ending (JSON, for the audit)
-- Answers
--   {'released'}
--   {'lost'}                         the run has its answer, was interrupted, or its lease is over:
--                                    a retry may have been answered `unknown`
-- Sent twice: answers 'released' both times.
-- include clock, slots
local run, preview, reservation, outbox, in_flight = unpack(KEYS)
local run_id, channel, mark_ms, ending = unpack(ARGV)
local now = milliseconds()
local state, lease_until, target, origin =
  unpack(redis.call('HMGET', run, 'state', 'lease_until', 'target', 'origin'))

if state and state ~= 'running' and state ~= 'released' then return {'lost'} end
if state == 'running' then
  if now >= tonumber(lease_until) then return {'lost'} end
  leave_slot(in_flight, target, run_id)
  redis.call('XADD', outbox, '*', 'at', now, 'entry', ending, 'origin', origin or '{}')
end
redis.call('HSET', run, 'state', 'released')
redis.call('HDEL', run, 'preview', 'origin', 'started_at', 'lease_until', 'expires_at', 'traceparent',
  'trace_link', 'target')
redis.call('PEXPIRE', run, mark_ms)
if redis.call('GET', reservation) == run_id then redis.call('DEL', reservation) end
if redis.call('HGET', preview, 'run') == run_id then
  redis.call('HDEL', preview, 'run')
  redis.call('PEXPIREAT', preview, redis.call('HGET', preview, 'expires_at'))
end
redis.call('PUBLISH', channel, 'released')
return {'released'}
