#!lua flags=allow-oom
-- Read a run. The flag makes a replica refuse, whose data may be old.
--   KEYS  run
-- Answers
--   {'run', now_ms, run hash (flat)}
--   {'no_run'}                       it has expired, was given back, or never existed
-- Sent twice: answers the same.
-- include clock
local run = KEYS[1]

local fields = redis.call('HGETALL', run)
if #fields == 0 or redis.call('HGET', run, 'state') == 'released' then return {'no_run'} end
return {'run', milliseconds(), fields}
