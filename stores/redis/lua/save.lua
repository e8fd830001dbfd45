-- Save a preview for as long as it may be executed.
--   KEYS  preview
--   ARGV  doc, origin (JSON: action, provider and digest), target (host and port, or empty), ttl_ms,
--         by (JSON: who asked)
-- Answer
--   {'saved', expires_at_ms}
-- Sent twice: saves the same preview again, and it expires later.
-- include clock
local preview = KEYS[1]
local doc, origin, target, ttl_ms, by = unpack(ARGV)
local expires_at = milliseconds() + ttl_ms

redis.call('HSET', preview, 'doc', doc, 'origin', origin, 'by', by, 'expires_at', expires_at)
if target ~= '' then redis.call('HSET', preview, 'target', target) end
redis.call('PEXPIREAT', preview, expires_at)
return {'saved', expires_at}
