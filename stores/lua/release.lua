#!lua flags=allow-oom
-- Give a run back as if it never was: nothing had been sent. What stays for a
-- while is a mark that it may not be opened: its `reserve` may still be under way.
--   KEYS  run, preview, reservation
--   ARGV  run_id, channel, mark_ms
-- Answers
--   {'released'}
--   {'lost'}                  the run has its answer
-- Sent twice: 'released' both times.
local run, preview, reservation = KEYS[1], KEYS[2], KEYS[3]
local run_id, channel, mark_ms = ARGV[1], ARGV[2], ARGV[3]
local state = redis.call('HGET', run, 'state')

if state and state ~= 'running' and state ~= 'released' then return {'lost'} end
redis.call('DEL', run)
redis.call('HSET', run, 'state', 'released')
redis.call('PEXPIRE', run, mark_ms)
if redis.call('GET', reservation) == run_id then redis.call('DEL', reservation) end
if redis.call('HGET', preview, 'run') == run_id then
  redis.call('HDEL', preview, 'run')
  redis.call('PEXPIREAT', preview, redis.call('HGET', preview, 'expires_at'))
end
redis.call('PUBLISH', channel, 'released')
return {'released'}
