-- Look at a run.
--   KEYS  run
-- Answers
--   {'run', now_ms, run hash (flat)}
--   {'no_run'}
local run = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local fields = redis.call('HGETALL', run)
if #fields == 0 or redis.call('HGET', run, 'state') == 'released' then return {'no_run'} end
return {'run', now, fields}
