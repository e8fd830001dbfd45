#!lua flags=allow-oom
-- End a run with its answer and write its outcome into the outbox. May write when memory is full,
-- because the effect has happened; what it replaces is larger than what it leaves.
-- The reservation is extended too, so that Relay remembers a key as long as its answer.
--   KEYS  run, preview, reservation, outbox, in_flight
--   ARGV  run_id, state, doc, ttl_ms (of the answer), tombstone_ms (how long the preview names its
--         run), channel (it ends with run_id; that of an approval ends with its preview's id),
--         ending (JSON, for the audit)
-- Answers
--   {'settled', expires_at_ms}
--   {'lost'}                         the lease was over, or the run is gone
-- Sent twice: the second changes nothing and answers as the first.
-- include clock, slots
local run, preview, reservation, outbox, in_flight = unpack(KEYS)
local run_id, state, doc, ttl_ms, tombstone_ms, channel, ending = unpack(ARGV)
local now = milliseconds()
local was, lease_until, settled_until, target =
  unpack(redis.call('HMGET', run, 'state', 'lease_until', 'expires_at', 'target'))

if not was or was == 'released' or was == 'interrupted' then return {'lost'} end
if was ~= 'running' then return {'settled', tonumber(settled_until)} end
if now >= tonumber(lease_until) then return {'lost'} end

local expires_at = now + ttl_ms
redis.call('HSET', run, 'state', state, 'doc', doc, 'expires_at', expires_at)
redis.call('HDEL', run, 'trace_link', 'origin', 'target') -- the document holds what is read later
redis.call('PEXPIREAT', run, expires_at)
if redis.call('GET', reservation) == run_id then
  redis.call('PEXPIREAT', reservation, expires_at)
end
local approved = redis.call('HEXISTS', preview, 'granted') == 1
-- Fields go one by one: on a cluster whose slots move, a key that vanished cannot be written again.
redis.call('HSET', preview, 'run', run_id)
redis.call('HDEL', preview, 'doc', 'origin', 'by', 'granted', 'target', 'expires_at')
redis.call('PEXPIRE', preview, tombstone_ms)
leave_slot(in_flight, target, run_id)
redis.call('XADD', outbox, '*', 'at', now, 'entry', ending)
if approved then
  local of_approval = channel:sub(1, -#run_id - 1) .. redis.call('HGET', run, 'preview')
  redis.call('PUBLISH', of_approval, 'executed')
end
redis.call('PUBLISH', channel, state)
return {'settled', expires_at}
