#!lua flags=allow-oom
-- List approvals that are pending, the latest deadline first.
--   KEYS  pending
--   ARGV  limit, and the deadline and the id of the last one of the page before, or '+inf' and ''
-- Answer
--   {'pending', id, decide_by_ms, id, decide_by_ms, …}
-- Sent twice: answers the same.
-- include clock
local pending, limit, before, before_id = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3]
local answer = {'pending'}
local found = redis.call('ZREVRANGEBYSCORE', pending, before, '(' .. milliseconds(), 'WITHSCORES')
for position = 1, #found, 2 do
  local id, decide_by = found[position], found[position + 1]
  if #answer > 2 * limit then break end
  if decide_by ~= before or id < before_id then
    answer[#answer + 1], answer[#answer + 2] = id, tonumber(decide_by)
  end
end
return answer
