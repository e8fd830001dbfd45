#!lua flags=allow-oom
-- Give a run back as if it never was: nothing had been sent.
--   KEYS  run, preview, reservation
--   ARGV  run_id, channel
-- Answers
--   {'released'}
--   {'lost'}                  the run was not open any more
-- Sent twice: the second finds nothing and says 'lost'.
local run, preview, reservation = KEYS[1], KEYS[2], KEYS[3]
local run_id, channel = ARGV[1], ARGV[2]

if redis.call('HGET', run, 'state') ~= 'running' then return {'lost'} end
redis.call('DEL', run)
if redis.call('GET', reservation) == run_id then redis.call('DEL', reservation) end
if redis.call('HGET', preview, 'run') == run_id then
  redis.call('HDEL', preview, 'run')
  redis.call('PEXPIREAT', preview, redis.call('HGET', preview, 'expires_at'))
end
redis.call('PUBLISH', channel, 'released')
return {'released'}
