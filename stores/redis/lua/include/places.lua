-- Runs in flight, of a workspace and of each of its targets: sorted by the end of their leases.
-- What a dead gateway left holds its place until then. The workspace's row is cleared by
-- collect.lua alone, which owes each of them an outcome; it lasts a week without any gateway.
local ROW_MS = 7 * 24 * 3600 * 1000

local function crowded(row, target, most, most_of_target, now)
  local of_target = row .. ':' .. (target or '')
  if most > 0 and redis.call('ZCOUNT', row, '(' .. now, '+inf') >= most then return 'runs' end
  if most_of_target > 0 and target
      and redis.call('ZCOUNT', of_target, '(' .. now, '+inf') >= most_of_target then
    return 'target'
  end
end

local function take_place(row, target, run_id, now, lease_ms)
  redis.call('ZADD', row, now + lease_ms, run_id)
  redis.call('PEXPIRE', row, ROW_MS)
  if target then
    local of_target = row .. ':' .. target
    redis.call('ZADD', of_target, now + lease_ms, run_id)
    -- Behind the first write, which memory may refuse: once one is made all are let through.
    redis.call('ZREMRANGEBYSCORE', of_target, '-inf', '(' .. now)
    -- Never sooner than before: another gateway may give longer leases.
    redis.call('PEXPIRE', of_target, lease_ms, 'NX')
    redis.call('PEXPIRE', of_target, lease_ms, 'GT')
  end
end

local function leave_place(row, target, run_id)
  redis.call('ZREM', row, run_id)
  if target then redis.call('ZREM', row .. ':' .. target, run_id) end
end
