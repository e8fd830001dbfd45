-- Try what serving needs: a write by a script, and a message to subscribers.
--   KEYS  probe
--   ARGV  channel, ttl_ms
-- Answer
--   {'probed'}
-- Sent twice: the same.
local probe, channel, ttl_ms = KEYS[1], ARGV[1], ARGV[2]

redis.call('SET', probe, '1', 'PX', ttl_ms)
redis.call('PUBLISH', channel, 'probe')
return {'probed'}
