#!lua flags=allow-oom
-- Read an approval. The flag makes a replica refuse, whose answer may be old.
--   KEYS  approval, preview
-- Answers
--   {'approval', now_ms, state, id of the run or '', approval hash (flat)}
--   {'no_approval'}
-- Sent twice: answers the same.
-- include clock, approval
local approval, preview = unpack(KEYS)
local now = milliseconds()
local state = state_at(approval, now)
if not state then return {'no_approval'} end
return {'approval', now, state, redis.call('HGET', preview, 'run') or '',
  redis.call('HGETALL', approval)}
