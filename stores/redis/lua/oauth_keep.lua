-- Keep a step of connecting an account, which one call may take.
--   KEYS  step
--   ARGV  doc, ttl_ms
-- Answer
--   {'kept', ends_ms}
-- Sent twice: keeps the same.
-- include clock
local step = KEYS[1]
local doc, ttl_ms = unpack(ARGV)
redis.call('HSET', step, 'doc', doc)
redis.call('PEXPIRE', step, ttl_ms, 'NX')
return {'kept', milliseconds() + redis.call('PTTL', step)}
