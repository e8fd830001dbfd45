#!lua flags=allow-oom
-- Find a preview. The flag makes a replica refuse, whose data may be old.
--   KEYS  preview
-- Answers
--   {'live', doc, expires_at_ms}
--   {'spent', run_id}                a run has spent it
--   {'no_preview'}                   it has expired, or never existed
-- Sent twice: answers the same.
local preview = KEYS[1]
local doc, run_id, expires_at = unpack(redis.call('HMGET', preview, 'doc', 'run', 'expires_at'))

if run_id then return {'spent', run_id} end
if not doc then return {'no_preview'} end
return {'live', doc, tonumber(expires_at)}
