-- The answer of reserve.lua if a run holds the key or has spent the preview; nil otherwise.
-- `known`: whether there is such a preview, or an approval of it.
local function key_taken(run_prefix, holder, spent_by, known, now, quota)
  if holder then
    local fields = redis.call('HGETALL', run_prefix .. holder)
    if #fields == 0 then return {'expired', quota, holder} end
    return {'key_taken', quota, holder, now, fields, (known or spent_by) and 1 or 0}
  end
  if spent_by then
    local answered = redis.call('EXISTS', run_prefix .. spent_by) == 1
    return {answered and 'spent' or 'expired', quota, spent_by}
  end
end

-- Note on a run that has ended that it is the answer once more, for as long as the run is kept. A
-- call that is sent twice counts twice.
local function count_replay(run_prefix, preview_id, holder, now, fields, known)
  local run = {}
  for n = 1, #fields, 2 do run[fields[n]] = fields[n + 1] end
  if known == 1 and run.preview ~= preview_id then return end
  if run.state == 'running' and now < tonumber(run.lease_until) then return end
  redis.call('HSET', run_prefix .. holder, 'replays', (run.replays or 0) + 1, 'replayed_at', now)
end

-- A replica refuses this write of nothing, because its data may be old; a full server takes it. It
-- must not stand before writes that a full server has to refuse, since it refuses only the first of
-- a script. The count of replays may follow: a retry gets its answer from a full server too.
local function as_primary(in_flight, run_prefix, preview_id, answer)
  redis.call('ZREM', in_flight, '')
  if answer[1] == 'key_taken' then count_replay(run_prefix, preview_id, unpack(answer, 3)) end
  return answer
end
