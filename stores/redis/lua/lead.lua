#!lua flags=allow-oom
-- Take, extend or give up the lead: one gateway at a time ships the outboxes. Two that overlap do
-- no harm. May write when memory is full, because shipping frees memory.
--   KEYS  leader
--   ARGV  gateway (its name), lead_ms: how long it leads from now on; 0 gives the lead up
-- Answers
--   {'leading'}                      this gateway leads, or has just given the lead up
--   {'following'}                    another gateway leads
-- Sent twice: answers the same.
local leader = KEYS[1]
local gateway, lead_ms = ARGV[1], tonumber(ARGV[2])
local current = redis.call('GET', leader)

if current and current ~= gateway then return {'following'} end
if lead_ms == 0 then
  redis.call('DEL', leader)
else
  redis.call('SET', leader, gateway, 'PX', lead_ms)
end
return {'leading'}
