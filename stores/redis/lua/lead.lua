#!lua flags=allow-oom
-- Be the one gateway that ships, for a while. Two that ship at once do no harm.
-- May write when memory is full: to ship is what frees it.
--   KEYS  leader
--   ARGV  who, for how many ms; 0 to stop
-- Answer
--   {'leads', 1 or 0}
-- Sent twice: answers the same.
local leader = KEYS[1]
local who, ms = ARGV[1], tonumber(ARGV[2])
local leads = redis.call('GET', leader)

if leads and leads ~= who then return {'leads', 0} end
if ms == 0 then redis.call('DEL', leader) else redis.call('SET', leader, who, 'PX', ms) end
return {'leads', 1}
