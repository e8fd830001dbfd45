#!lua flags=allow-oom
-- Read what is left of the limits of a key and its workspace. The flag makes a replica refuse.
--   KEYS  in_flight, then of each rate the bucket of the key and that of the workspace
--   ARGV  requests a minute of each bucket; 0 for no limit
-- Answer
--   {'usage', number of runs in flight, requests left in each bucket: -1 without a limit}
-- Sent twice: answers the same.
-- include quota
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local in_flight = redis.call('ZCOUNT', KEYS[1], '(' .. math.floor(now / 1000), '+inf')
local answer = {'usage', in_flight}
for position, per_minute in ipairs(ARGV) do
  local limit = tonumber(per_minute)
  local left = limit > 0 and left_in(bucket(KEYS[position + 1], limit, now), '', now)[2]
  answer[#answer + 1] = left or -1
end
return answer
