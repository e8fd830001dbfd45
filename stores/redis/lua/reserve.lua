-- Claim an idempotency key, spend the preview and open the run: all or nothing. The key is checked
-- before the preview: a retry whose preview has expired gets its answer, and spends no quota.
--   KEYS  preview, reservation, run, outbox, in_flight, buckets of key and workspace, approval
--   ARGV  run_id, preview_id, run_prefix (before a run's id in its key), lease_ms, ttl_ms, traceparent,
--         trace_link (of the request, or empty), intent (JSON, for the audit); limits, 0 for none:
--         requests a minute of key, of workspace; runs in total, per target; suspended targets
-- Answers; the quota is that of spend.lua
--   {'reserved', quota, started_at_ms, doc, by (JSON, who asked), granted (JSON, or empty)}
--   {'key_taken', quota, run_id, now_ms, run hash (flat), requested preview known: 1 or 0}
--   {'expired', quota, run_id}       the key or the preview had a run whose answer is gone
--   {'spent', quota, run_id}         a run of another key has spent the preview
--   {'no_preview', quota}            the preview has expired, or never existed
--   {'not_approved', quota, state, decide_by_ms}, {'suspended', quota, target}
--   {'limited', quota, 'key', 'workspace', 'runs' or 'target', retry_ms}
--   {'released', quota}              this very run was given back before this call arrived
-- Sent twice with one run_id: 'reserved' while the run lasts, then 'key_taken'.
-- include quota, slots, key_taken, approval
local preview, reservation, run, outbox, in_flight, of_key, of_workspace, approval = unpack(KEYS)
local run_id, preview_id, run_prefix, lease_ms, ttl_ms, traceparent, trace_link, intent,
  per_key, per_workspace, total, per_target, suspended = unpack(ARGV)
local buckets = buckets_of(of_key, per_key, of_workspace, per_workspace)
local now, _, _, quota = math.floor(buckets.now / 1000), spend(buckets, false)
local doc, spent_by, origin, target, by, granted, use_by = unpack(
  redis.call('HMGET', preview, 'doc', 'run', 'origin', 'target', 'by', 'granted', 'expires_at'))
if redis.call('HGET', run, 'state') == 'released' then return {'released', quota} end
local holder = redis.call('GET', reservation)
if holder == run_id and redis.call('HGET', run, 'state') == 'running' then
  return {'reserved', quota, tonumber(redis.call('HGET', run, 'started_at')), doc, by, granted}
end
local state, decide_by = state_without(doc, approval, now)
local answer = key_taken(run_prefix, holder, spent_by, doc or state, now, quota)
  or not doc and {state and 'not_approved' or 'no_preview', quota, state, decide_by}
if answer then return as_primary(in_flight, run_prefix, preview_id, answer) end
if listed(suspended, target) then return {'suspended', quota, target} end
local limited = full(in_flight, target, tonumber(total), tonumber(per_target), now)
if limited then return {'limited', quota, limited, 1000} end
local empty, retry_ms, left = spend(buckets, true)
if empty then return {'limited', quota, empty, retry_ms} end

take_slot(in_flight, target, run_id, now, lease_ms)
redis.call('SET', reservation, run_id, 'NX', 'PX', ttl_ms)
redis.call('HSET', run, 'state', 'running', 'preview', preview_id, 'origin', origin,
  'started_at', now, 'lease_until', now + lease_ms, 'expires_at', now + ttl_ms,
  'traceparent', traceparent, 'trace_link', trace_link, 'target', target or '')
redis.call('PEXPIRE', run, ttl_ms)
redis.call('HSET', preview, 'run', run_id)
redis.call('PEXPIREAT', preview, (use_by or now) + ttl_ms, 'GT') -- it names its run if no gateway settles it
redis.call('XADD', outbox, '*', 'at', now, 'entry', intent, 'origin', origin, 'by', by or '',
  'granted', granted or '')
return {'reserved', left, now, doc, by, granted}
