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
