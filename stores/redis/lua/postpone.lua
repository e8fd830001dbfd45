-- Make a notice due again later, unless its lease is over and another gateway has taken it.
--   KEYS  notices, attempts
--   ARGV  notice, taker (of the call that took it), attempts (so far), pause_ms
-- Answers
--   {'postponed'}
--   {'not_taken'}
-- Sent twice: 'not_taken' the second time.
-- include clock, notices
local notices, attempts = unpack(KEYS)
local notice, taker, count, pause_ms = unpack(ARGV)
local _, by = string.match(redis.call('HGET', attempts, notice) or '0:', '^(%d+):(.*)$')
if by ~= taker then return {'not_taken'} end
redis.call('HSET', attempts, notice, count .. ':')
redis.call('ZADD', notices, milliseconds() + pause_ms, notice)
redis.call('PEXPIRE', notices, NOTICES_MS)
return {'postponed'}
