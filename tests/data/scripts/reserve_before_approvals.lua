-- Claim an idempotency key, spend the preview and open the run: all or nothing. The key is checked
-- before the preview: a retry whose preview has expired gets its answer, and spends no quota.
--   KEYS  preview, reservation, run (to open), outbox, in_flight, buckets of key and workspace
--   ARGV  run_id, preview_id, run_prefix (before a run's id in its key), lease_ms, ttl_ms, traceparent,
--         trace_link (of the request, or empty), intent (JSON, for the audit); limits, 0 for none:
--         requests a minute of key, of workspace; runs in total, per target; suspended targets
-- Answers; the quota is that of spend.lua
--   {'reserved', quota, started_at_ms, doc}
--   {'key_taken', quota, run_id, now_ms, run hash (flat), requested preview known: 1 or 0}
--   {'expired', quota, run_id}       the key or the preview had a run whose answer is gone
--   {'spent', quota, run_id}         a run of another key has spent the preview
--   {'no_preview', quota}            the preview has expired, or never existed
--   {'suspended', quota, target}
--   {'limited', quota, 'key', 'workspace', 'runs' or 'target', retry_ms}
--   {'released', quota}              this very run was given back before this call arrived
-- Sent twice with one run_id: 'reserved' both times while the run lasts, then 'key_taken'.
-- The server's clock, in milliseconds since 1970.
local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
-- The generic cell rate algorithm (ITU-T I.371). A bucket is stored as the time at which it will be
-- full again, in microseconds. It grants `per_minute` requests at once, and as many each minute.
local function bucket(key, per_minute, now)
  local interval = math.ceil(60000000 / per_minute)
  local horizon = interval * per_minute
  local stored = tonumber(redis.call('GET', key) or 0)
  -- Ahead: the server's clock was set back. That must refuse requests for one horizon at most.
  local full_at, ahead = math.max(math.min(stored, now + horizon), now), stored > now + horizon
  return {key = key, interval = interval, horizon = horizon, full_at = full_at, ahead = ahead}
end

local function left_in(bucket, name, now)
  local left = math.floor((bucket.horizon - (bucket.full_at - now)) / bucket.interval)
  return {name, left, math.ceil((bucket.full_at - now) / 1000)}
end

local function rows_of(of_key, per_key, of_workspace, per_workspace)
  return {{'key', of_key, tonumber(per_key)}, {'workspace', of_workspace, tonumber(per_workspace)}}
end

-- Spend one request of every bucket, or of none if one is empty; `spending` false only reads.
-- Rows: {name, key, per_minute}, 0 for no limit.
-- Returns the name of the bucket that is empty longest, if any; in how many milliseconds it is not;
-- and {name, left, full_in_ms} of the bucket with the least left, {} without limits.
local function spend(rows, spending)
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  local buckets, empty, wait, least = {}, nil, 0, {}
  for _, row in ipairs(rows) do
    local name, key, per_minute = unpack(row)
    if per_minute > 0 then
      local it = bucket(key, per_minute, now)
      buckets[#buckets + 1] = {it, name}
      local over = it.full_at + it.interval - now - it.horizon
      if over > wait then empty, wait = name, over end
    end
  end
  for _, pair in ipairs(buckets) do
    local it, name = unpack(pair)
    if spending and (it.ahead or not empty) then
      it.full_at = it.full_at + (empty and 0 or it.interval)
      -- PXAT: a bucket that expired before it was full would be full too soon.
      redis.call('SET', it.key, string.format('%.0f', it.full_at), 'PXAT',
        math.ceil(it.full_at / 1000))
    end
    local left = left_in(it, name, now)
    if not least[2] or left[2] < least[2] then least = left end
  end
  return empty, math.ceil(wait / 1000), least
end
-- Concurrency slots: the runs in flight of a workspace and of each of its targets, sorted by the
-- end of their leases. A run whose gateway died holds its slot until its lease ends. Then it stays
-- in the set of its workspace until collect.lua has written its outcome; without any gateway the
-- set lasts a week.
local SET_MS = 7 * 24 * 3600 * 1000

-- Whether a target is one of these, which spaces separate.
local function listed(targets, target)
  return target and string.find(' ' .. targets .. ' ', ' ' .. target .. ' ', 1, true)
end

-- Which limit is reached, 'runs' or 'target'; nil for none. Limits of 0 do not apply.
local function full(in_flight, target, total, per_target, now)
  local of_target = in_flight .. ':' .. (target or '')
  if total > 0 and redis.call('ZCOUNT', in_flight, '(' .. now, '+inf') >= total then
    return 'runs'
  end
  if per_target > 0 and target
      and redis.call('ZCOUNT', of_target, '(' .. now, '+inf') >= per_target then
    return 'target'
  end
end

local function take_slot(in_flight, target, run_id, now, lease_ms)
  redis.call('ZADD', in_flight, now + lease_ms, run_id)
  redis.call('PEXPIRE', in_flight, SET_MS)
  if target then
    local of_target = in_flight .. ':' .. target
    redis.call('ZADD', of_target, now + lease_ms, run_id)
    -- Comes second: Redis may refuse a script's first write for lack of memory, but no later one.
    redis.call('ZREMRANGEBYSCORE', of_target, '-inf', '(' .. now)
    -- Never sooner, because another gateway may grant longer leases.
    redis.call('PEXPIRE', of_target, lease_ms, 'NX')
    redis.call('PEXPIRE', of_target, lease_ms, 'GT')
  end
end

local function leave_slot(in_flight, target, run_id)
  redis.call('ZREM', in_flight, run_id)
  if target then redis.call('ZREM', in_flight .. ':' .. target, run_id) end
end
-- The answer of reserve.lua if a run holds the key or has spent the preview; nil otherwise.
local function key_taken(run_prefix, holder, spent_by, doc, now, quota)
  if holder then
    local fields = redis.call('HGETALL', run_prefix .. holder)
    if #fields == 0 then return {'expired', quota, holder} end
    return {'key_taken', quota, holder, now, fields, (doc or spent_by) and 1 or 0}
  end
  if spent_by then
    local answered = redis.call('EXISTS', run_prefix .. spent_by) == 1
    return {answered and 'spent' or 'expired', quota, spent_by}
  end
end

-- A replica refuses this write of nothing, because its data may be old; a full server takes it. It
-- must not stand before other writes: a full server refuses only the first write of a script.
local function as_primary(in_flight, answer)
  redis.call('ZREM', in_flight, '')
  return answer
end
local preview, reservation, run, outbox, in_flight, of_key, of_workspace = unpack(KEYS)
local run_id, preview_id, run_prefix, lease_ms, ttl_ms, traceparent, trace_link, intent,
  per_key, per_workspace, total, per_target, suspended = unpack(ARGV)
local buckets = rows_of(of_key, per_key, of_workspace, per_workspace)
local now, _, _, quota = milliseconds(), spend(buckets, false)
local doc, spent_by, origin, target =
  unpack(redis.call('HMGET', preview, 'doc', 'run', 'origin', 'target'))

if redis.call('HGET', run, 'state') == 'released' then return {'released', quota} end
local holder = redis.call('GET', reservation)
if holder == run_id and redis.call('HGET', run, 'state') == 'running' then
  return {'reserved', quota, tonumber(redis.call('HGET', run, 'started_at')), doc}
end
local answer = key_taken(run_prefix, holder, spent_by, doc, now, quota)
  or not doc and {'no_preview', quota}
if answer then return as_primary(in_flight, answer) end
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
redis.call('PEXPIRE', preview, lease_ms, 'GT')
redis.call('XADD', outbox, '*', 'at', now, 'entry', intent, 'origin', origin)
return {'reserved', left, now, doc}
