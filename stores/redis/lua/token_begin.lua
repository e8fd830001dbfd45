-- Get the access token of a connection, or else the right to refresh it.
--   KEYS  access_token, refreshing
--   ARGV  call, lock_ms
-- Answers
--   {'token', doc}
--   {'refresh'}  this call alone, for lock_ms
--   {'busy'}     another call refreshes
-- Sent twice: the same call keeps its right, which does not last longer for it.
local token, refreshing = unpack(KEYS)
local call, lock_ms = unpack(ARGV)
local doc = redis.call('GET', token)
if doc then return {'token', doc} end
if redis.call('SET', refreshing, call, 'NX', 'PX', lock_ms) then return {'refresh'} end
return {redis.call('GET', refreshing) == call and 'refresh' or 'busy'}
