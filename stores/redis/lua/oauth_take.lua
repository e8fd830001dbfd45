-- Read a step of connecting an account, or take it: it is then gone for every other call.
--   KEYS  step
--   ARGV  call ('' reads it), left_ms (how long the same call may still repeat)
-- Answers
--   {'step', doc}
--   {'nothing'}  it has expired, another call has taken it, or it never was
-- Sent twice: answers the same.
local step = KEYS[1]
local call, left_ms = unpack(ARGV)
local doc, taken = unpack(redis.call('HMGET', step, 'doc', 'taken'))
if not doc or (taken and taken ~= call) then return {'nothing'} end
if call ~= '' and not taken then
  redis.call('HSET', step, 'taken', call)
  redis.call('PEXPIRE', step, left_ms, 'LT')
end
return {'step', doc}
