-- Keep what was approved, so that the next request of its kind can be compared with it.
--   KEYS  remembered, remembered_times
--   ARGV  kind, preview_id, doc, ttl_ms, most (how many kinds a workspace keeps)
-- Answer
--   {'remembered'}
-- Sent twice: keeps the same.
-- include clock
local remembered, times = unpack(KEYS)
local kind, preview_id, doc, ttl_ms, most = unpack(ARGV)
local now = milliseconds()
local ends = now + ttl_ms
redis.call('HSET', remembered, kind, table.concat({preview_id, now, ends, doc}, ' '))
redis.call('ZADD', times, now, kind)
while redis.call('ZCARD', times) > tonumber(most) do
  redis.call('HDEL', remembered, redis.call('ZPOPMIN', times)[1])
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIREAT', key, ends, redis.call('PTTL', key) < 0 and 'NX' or 'GT')
end
return {'remembered'}
