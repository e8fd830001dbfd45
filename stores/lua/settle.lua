#!lua flags=allow-oom
-- End a run with its answer. May write when memory is full: the effect has
-- happened, and what it replaces is larger than what it leaves.
--   KEYS  run, preview, reservation
--   ARGV  run_id, state, doc, ttl_ms, tombstone_ms, channel
-- Answers
--   {'settled', expires_at_ms}
--   {'lost'}                  the lease was over, or the run is gone
-- Sent twice: the second changes nothing and answers as the first.
local run, preview, reservation = KEYS[1], KEYS[2], KEYS[3]
local run_id, state, doc, channel = ARGV[1], ARGV[2], ARGV[3], ARGV[6]
local ttl_ms, tombstone_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local was, lease_until, settled_until =
  unpack(redis.call('HMGET', run, 'state', 'lease_until', 'expires_at'))

if not was or was == 'released' then return {'lost'} end
if was ~= 'running' then return {'settled', tonumber(settled_until)} end
if now >= tonumber(lease_until) then return {'lost'} end

local expires_at = now + ttl_ms
redis.call('HSET', run, 'state', state, 'doc', doc, 'expires_at', expires_at)
redis.call('HDEL', run, 'trace_link') -- the doc has it
redis.call('PEXPIREAT', run, expires_at)
if redis.call('GET', reservation) == run_id then
  redis.call('PEXPIREAT', reservation, expires_at)
end
redis.call('DEL', preview)
redis.call('HSET', preview, 'run', run_id)
redis.call('PEXPIRE', preview, tombstone_ms)
redis.call('PUBLISH', channel, state)
return {'settled', expires_at}
