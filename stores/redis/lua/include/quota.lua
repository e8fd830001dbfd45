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
