-- Claim an idempotency key, spend the preview and open the run: all or nothing. The key is looked
-- at before the preview: a retry whose preview has expired gets its answer, and spends no quota.
--   KEYS  preview, reservation, run (to open), outbox, in_flight, buckets of key and workspace
--   ARGV  run_id, preview_id, run_prefix (before the id of another run), lease_ms, ttl_ms,
--         traceparent, trace_link (of the request, or empty), intent (JSON, for the audit);
--         limits, 0 for none: of key and workspace a minute, of runs at once in all and of a target
-- Answers; the quota is that of spend.lua
--   {'reserved', quota, started_at_ms, doc}
--   {'taken', quota, run_id, now_ms, run hash (flat), requested preview known: 1 or 0}
--   {'expired', quota, run_id}       the key or the preview had a run, its answer is gone
--   {'spent', quota, run_id}         another key executed the preview
--   {'no_preview', quota}
--   {'limited', quota, 'key', 'workspace', 'runs' or 'target', retry_ms}
--   {'released', quota}              this very run was given back before we came
-- Sent twice with one run_id: 'reserved' both times, while it runs; then 'taken' by itself.
-- The server's clock, in milliseconds since 1970.
local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
-- The generic cell rate algorithm (ITU-T I.371): a bucket is the time at which it would be full
-- again, in microseconds. At most `per_minute` at once, and as many in each minute after.
local function bucket(key, per_minute, now)
  local interval = math.ceil(60000000 / per_minute)
  local horizon = interval * per_minute
  local stored = tonumber(redis.call('GET', key) or 0)
  -- Ahead: the server's clock was set back. That must refuse requests for one horizon at most.
  local full_at, ahead = math.max(math.min(stored, now + horizon), now), stored > now + horizon
  return {key = key, interval = interval, horizon = horizon, full_at = full_at, ahead = ahead}
end

local function state(it, name, now)
  local left = math.floor((it.horizon - (it.full_at - now)) / it.interval)
  return {name, left, math.ceil((it.full_at - now) / 1000)}
end

local function rows_of(of_key, per_key, of_workspace, per_workspace)
  return {{'key', of_key, tonumber(per_key)}, {'workspace', of_workspace, tonumber(per_workspace)}}
end

-- Spend one of each bucket or of none; or only look. Rows: {name, key, per_minute}, 0 for no limit.
-- Returns the name of the one that is empty, if any, in how many milliseconds it is not, and
-- {name, left, full_in_ms} of the one with the least left: {} where there is no limit.
local function spend(rows, spending)
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  local buckets, empty, wait, least = {}, nil, 0, {}
  for _, row in ipairs(rows) do
    if row[3] > 0 then
      local it = bucket(row[2], row[3], now)
      buckets[#buckets + 1] = {it, row[1]}
      local over = it.full_at + it.interval - now - it.horizon
      if over > wait then empty, wait = row[1], over end
    end
  end
  for _, one in ipairs(buckets) do
    local it = one[1]
    if spending and (it.ahead or not empty) then
      it.full_at = it.full_at + (empty and 0 or it.interval)
      -- PXAT: a bucket that expires sooner than it is full would be full too soon.
      redis.call('SET', it.key, string.format('%.0f', it.full_at), 'PXAT',
        math.ceil(it.full_at / 1000))
    end
    local now_has = state(it, one[2], now)
    if not least[2] or now_has[2] < least[2] then least = now_has end
  end
  return empty, math.ceil(wait / 1000), least
end
-- Concurrency slots: the runs in flight of a workspace and of each of its targets, sorted by the
-- end of their leases. A run of a gateway that died holds its slot until then. Only collect.lua
-- removes it from the workspace's set, because it writes its outcome; the set lasts a week without
-- any gateway.
local ROW_MS = 7 * 24 * 3600 * 1000

local function full(row, target, limit, limit_per_target, now)
  local of_target = row .. ':' .. (target or '')
  if limit > 0 and redis.call('ZCOUNT', row, '(' .. now, '+inf') >= limit then return 'runs' end
  if limit_per_target > 0 and target
      and redis.call('ZCOUNT', of_target, '(' .. now, '+inf') >= limit_per_target then
    return 'target'
  end
end

local function take_slot(row, target, run_id, now, lease_ms)
  redis.call('ZADD', row, now + lease_ms, run_id)
  redis.call('PEXPIRE', row, ROW_MS)
  if target then
    local of_target = row .. ':' .. target
    redis.call('ZADD', of_target, now + lease_ms, run_id)
    -- After the first write: Redis may refuse that one for lack of memory, and then none after it.
    redis.call('ZREMRANGEBYSCORE', of_target, '-inf', '(' .. now)
    -- Only ever later, because another gateway may grant longer leases.
    redis.call('PEXPIRE', of_target, lease_ms, 'NX')
    redis.call('PEXPIRE', of_target, lease_ms, 'GT')
  end
end

local function leave_slot(row, target, run_id)
  redis.call('ZREM', row, run_id)
  if target then redis.call('ZREM', row .. ':' .. target, run_id) end
end
-- What a claim is answered when its key, or its preview, belongs to a run already; else nothing.
local function taken(run_prefix, holder, spent_by, doc, now, quota)
  if holder then
    local fields = redis.call('HGETALL', run_prefix .. holder)
    if #fields == 0 then return {'expired', quota, holder} end
    return {'taken', quota, holder, now, fields, (doc or spent_by) and 1 or 0}
  end
  if spent_by then
    local answered = redis.call('EXISTS', run_prefix .. spent_by) == 1
    return {answered and 'spent' or 'expired', quota, spent_by}
  end
end
local preview, reservation, run, outbox, in_flight, of_key, of_workspace = unpack(KEYS)
local run_id, preview_id, run_prefix, lease_ms, ttl_ms, traceparent, trace_link, intent,
  per_key, per_workspace, limit, limit_per_target = unpack(ARGV)
local buckets = rows_of(of_key, per_key, of_workspace, per_workspace)
local now, _, _, quota = milliseconds(), spend(buckets, false)
local doc, spent_by, origin, target =
  unpack(redis.call('HMGET', preview, 'doc', 'run', 'origin', 'target'))

if redis.call('HGET', run, 'state') == 'released' then return {'released', quota} end
local holder = redis.call('GET', reservation)
if holder == run_id and redis.call('HGET', run, 'state') == 'running' then
  return {'reserved', quota, tonumber(redis.call('HGET', run, 'started_at')), doc}
end
local answer = taken(run_prefix, holder, spent_by, doc, now, quota)
if answer then return answer end
if not doc then return {'no_preview', quota} end
local limited = full(in_flight, target, tonumber(limit), tonumber(limit_per_target), now)
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
