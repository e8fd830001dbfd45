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

-- The buckets of a key and of its workspace that have a limit; 0 is none. They are read once.
local function buckets_of(of_key, per_key, of_workspace, per_workspace)
  local time = redis.call('TIME')
  local found = {now = time[1] * 1000000 + time[2], wait = 0}
  for _, row in ipairs({{'key', of_key, per_key}, {'workspace', of_workspace, per_workspace}}) do
    local name, key, per_minute = row[1], row[2], tonumber(row[3])
    if per_minute > 0 then
      local it = bucket(key, per_minute, found.now)
      found[#found + 1] = {it, name}
      local over = it.full_at + it.interval - found.now - it.horizon
      if over > found.wait then found.empty, found.wait = name, over end
    end
  end
  return found
end

-- Spend one request of every bucket, or of none if one is empty; `spending` false only reads.
-- Returns the name of the bucket that is empty longest, if any; in how many milliseconds it is not;
-- and {name, left, full_in_ms} of the bucket with the least left, {} without limits.
local function spend(buckets, spending)
  local empty, least = buckets.empty, {}
  for _, pair in ipairs(buckets) do
    local it, name = unpack(pair)
    if spending and (it.ahead or not empty) then
      it.full_at = it.full_at + (empty and 0 or it.interval)
      -- PXAT: a bucket that expired before it was full would be full too soon.
      redis.call('SET', it.key, string.format('%.0f', it.full_at), 'PXAT',
        math.ceil(it.full_at / 1000))
    end
    local left = left_in(it, name, buckets.now)
    if not least[2] or left[2] < least[2] then least = left end
  end
  return empty, math.ceil(buckets.wait / 1000), least
end
