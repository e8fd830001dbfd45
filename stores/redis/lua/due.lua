-- Take the notices that are due: no other gateway takes them until the lease is over.
--   KEYS  notices, attempts
--   ARGV  approval_prefix (before an id in its key), taker (new for each call), lease_ms, limit
-- Answer
--   {'due', {notice, attempt (from 1), state, facts (JSON), at_ms (of the event), decide_by_ms}, …}
--   The state and the facts are empty where the approval is gone.
-- Sent twice with one taker: answers the same while the lease lasts.
-- include clock, approval, notices
local notices, attempts = unpack(KEYS)
local approval_prefix, taker, lease_ms, limit = unpack(ARGV)
local now, answer = milliseconds(), {'due'}
local found = redis.call('ZRANGEBYSCORE', notices, '-inf', now + lease_ms,
  'WITHSCORES', 'LIMIT', 0, 500)
for position = 1, #found, 2 do
  local notice, due = found[position], tonumber(found[position + 1])
  local count, by = string.match(redis.call('HGET', attempts, notice) or '0:', '^(%d+):(.*)$')
  if #answer <= tonumber(limit) and (due <= now or by == taker) then
    if by ~= taker then
      count = count + 1
      redis.call('HSET', attempts, notice, count .. ':' .. taker)
      redis.call('ZADD', notices, now + lease_ms, notice)
    end
    local event, preview_id = string.match(notice, '^(%a+):([^:]+)')
    local approval = approval_prefix .. preview_id
    local facts, at, decide_by =
      unpack(redis.call('HMGET', approval, 'notice', 'at:' .. event, 'decide_by'))
    answer[#answer + 1] = {notice, tonumber(count), state_at(approval, now) or '', facts or '',
      tonumber(at or 0), tonumber(decide_by or 0)}
  end
end
redis.call('PEXPIRE', notices, NOTICES_MS)
redis.call('PEXPIRE', attempts, NOTICES_MS)
return answer
