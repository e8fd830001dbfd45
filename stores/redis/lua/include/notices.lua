-- A notice is a member of a sorted set, by when it is due: `<event>:<preview_id>`, and for one
-- channel `<event>:<preview_id>:<channel>`.
local NOTICES_MS = 2 * 24 * 3600 * 1000

-- Add the notice of an event in the step that makes the event true. `at`: when it happens.
local function add_notice(notices, approval, event, preview_id, at)
  redis.call('HSET', approval, 'at:' .. event, at)
  redis.call('ZADD', notices, at, event .. ':' .. preview_id)
  redis.call('PEXPIRE', notices, NOTICES_MS)
end
