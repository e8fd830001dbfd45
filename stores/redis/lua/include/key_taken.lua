-- The answer of reserve.lua if a run holds the key or has spent the preview; nil otherwise.
local function key_taken(run_prefix, holder, spent_by, doc, now, quota)
  if holder then
    local fields = redis.call('HGETALL', run_prefix .. holder)
    if #fields == 0 then return {'expired', quota, holder} end
    return {'key_taken', quota, holder, now, fields, (doc or spent_by) and 1 or 0}
  end
  if spent_by then
    local answered = redis.call('EXISTS', run_prefix .. spent_by) == 1
    return {answered and 'spent' or 'expired', quota, spent_by}
  end
end

-- A replica refuses this write of nothing, because its data may be old; a full server takes it. It
-- must not stand before other writes: a full server refuses only the first write of a script.
local function as_primary(in_flight, answer)
  redis.call('ZREM', in_flight, '')
  return answer
end
