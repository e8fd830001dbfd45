-- End a refresh: keep its token, if there is one, and give back the right to refresh.
--   KEYS  access_token, refreshing
--   ARGV  call, doc ('' for none), ttl_ms
-- Answer
--   {'ended'}
-- Sent twice: the same. The right of another call stays.
local token, refreshing = unpack(KEYS)
local call, doc, ttl_ms = unpack(ARGV)
if doc ~= '' and tonumber(ttl_ms) > 0 then redis.call('SET', token, doc, 'PX', ttl_ms) end
if redis.call('GET', refreshing) == call then redis.call('DEL', refreshing) end
return {'ended'}
