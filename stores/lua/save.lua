-- Save a preview for as long as it may be executed.
--   KEYS  preview
--   ARGV  doc, origin (JSON: which action of which provider), ttl_ms
-- Answer
--   {'saved', expires_at_ms}
-- Sent twice: saves the same preview again.
local preview = KEYS[1]
local doc, origin, ttl_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local expires_at = time[1] * 1000 + math.floor(time[2] / 1000) + ttl_ms

redis.call('HSET', preview, 'doc', doc, 'origin', origin, 'expires_at', expires_at)
redis.call('PEXPIREAT', preview, expires_at)
return {'saved', expires_at}
