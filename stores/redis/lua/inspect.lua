-- Look at a run.
--   KEYS  run
-- Answers
--   {'run', now_ms, run hash (flat)}
--   {'no_run'}
-- include clock
local run = KEYS[1]

local fields = redis.call('HGETALL', run)
if #fields == 0 or redis.call('HGET', run, 'state') == 'released' then return {'no_run'} end
return {'run', milliseconds(), fields}
