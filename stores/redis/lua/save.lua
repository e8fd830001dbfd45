-- Save a preview for as long as it may be executed, and spend one request of a quota.
--   KEYS  preview, buckets of key and workspace
--   ARGV  doc, origin (JSON: action, provider and digest), target (host and port, or empty), ttl_ms,
--         by (JSON: who asked), requests a minute of key, of workspace; 0 for no limit
-- Answers; the quota is that of spend.lua
--   {'saved', quota, expires_at_ms}
--   {'limited', quota, 'key' or 'workspace', retry_ms}
-- Sent twice: saves the same preview again, it expires later, and the quota is spent twice.
-- include quota
local preview, of_key, of_workspace = unpack(KEYS)
local doc, origin, target, ttl_ms, by, per_key, per_workspace = unpack(ARGV)
local buckets = buckets_of(of_key, per_key, of_workspace, per_workspace)
local empty, retry_ms, quota = spend(buckets, true)
if empty then return {'limited', quota, empty, retry_ms} end
local expires_at = math.floor(buckets.now / 1000) + ttl_ms

redis.call('HSET', preview, 'doc', doc, 'origin', origin, 'by', by, 'expires_at', expires_at)
if target ~= '' then redis.call('HSET', preview, 'target', target) end
redis.call('PEXPIREAT', preview, expires_at)
return {'saved', quota, expires_at}
