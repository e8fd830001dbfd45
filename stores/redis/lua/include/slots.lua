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
