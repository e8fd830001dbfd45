-- Replace the notice of an event by one for each channel; without a channel it goes.
--   KEYS  notices, attempts
--   ARGV  notice, then the ids of the channels
-- Answer
--   {'spread'}
-- Sent twice: changes nothing the second time.
-- include clock, notices
local notices, attempts = unpack(KEYS)
local notice, now = ARGV[1], milliseconds()
redis.call('HDEL', attempts, notice)
if redis.call('ZREM', notices, notice) == 1 then
  for position = 2, #ARGV do
    redis.call('ZADD', notices, now, notice .. ':' .. ARGV[position])
  end
  redis.call('PEXPIRE', notices, NOTICES_MS)
end
return {'spread'}
