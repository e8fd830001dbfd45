-- Claim an idempotency key, spend the preview and open the run: all or nothing.
-- The key is looked at before the preview: a retry whose preview has expired
-- still gets its answer. A spent preview outlives its run's lease.
--   KEYS  preview, reservation, run (the one to open)
--   ARGV  run_id, preview_id, run_prefix (before the id of another run),
--         lease_ms, ttl_ms, traceparent, trace_link (both of the request, or empty)
-- Answers
--   {'reserved', started_at_ms, doc}
--   {'taken', run_id, now_ms, run hash (flat), requested preview known: 1 or 0}
--   {'expired', run_id}       the key or the preview had a run, its answer is gone
--   {'spent', run_id}         another key executed the preview
--   {'no_preview'}
--   {'released'}              this very run was given back before we came
-- Sent twice with one run_id: 'reserved' both times.
local preview, reservation, run = KEYS[1], KEYS[2], KEYS[3]
local run_id, preview_id, run_prefix = ARGV[1], ARGV[2], ARGV[3]
local lease_ms, ttl_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
local traceparent, trace_link = ARGV[6], ARGV[7]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local doc, spent_by, origin = unpack(redis.call('HMGET', preview, 'doc', 'run', 'origin'))

if redis.call('HGET', run, 'state') == 'released' then return {'released'} end
local holder = redis.call('GET', reservation)
if holder == run_id then
  return {'reserved', tonumber(redis.call('HGET', run, 'started_at')), doc}
end
if holder then
  local fields = redis.call('HGETALL', run_prefix .. holder)
  if #fields == 0 then return {'expired', holder} end
  return {'taken', holder, now, fields, (doc or spent_by) and 1 or 0}
end
if spent_by then
  local answered = redis.call('EXISTS', run_prefix .. spent_by) == 1
  return {answered and 'spent' or 'expired', spent_by}
end
if not doc then return {'no_preview'} end

redis.call('SET', reservation, run_id, 'NX', 'PX', ttl_ms)
redis.call('HSET', run, 'state', 'running', 'preview', preview_id, 'origin', origin,
  'started_at', now, 'lease_until', now + lease_ms, 'expires_at', now + ttl_ms,
  'traceparent', traceparent, 'trace_link', trace_link)
redis.call('PEXPIRE', run, ttl_ms)
redis.call('HSET', preview, 'run', run_id)
redis.call('PEXPIRE', preview, lease_ms, 'GT')
return {'reserved', now, doc}
