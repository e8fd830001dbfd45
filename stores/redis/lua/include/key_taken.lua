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
