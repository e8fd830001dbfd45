#!lua flags=allow-oom
-- Give a run back as if it never was: nothing had been sent. The audit, which has its intent,
-- records so. What stays for a while is a mark that it may not be opened: its `reserve` may still
-- be under way.
--   KEYS  run, preview, reservation, outbox, in_flight
--   ARGV  run_id, channel, mark_ms, ending (JSON, for the audit)
-- Answers
--   {'released'}
--   {'lost'}                  the run has its answer, was given up, or its lease is over: a retry
--                             may have been answered `unknown`
-- Sent twice: 'released' both times.
-- include clock
-- include slots
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
redis.call('DEL', run)
redis.call('HSET', run, 'state', 'released')
redis.call('PEXPIRE', run, mark_ms)
if redis.call('GET', reservation) == run_id then redis.call('DEL', reservation) end
if redis.call('HGET', preview, 'run') == run_id then
  redis.call('HDEL', preview, 'run')
  redis.call('PEXPIREAT', preview, redis.call('HGET', preview, 'expires_at'))
end
redis.call('PUBLISH', channel, 'released')
return {'released'}
