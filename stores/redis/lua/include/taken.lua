-- What a claim is answered when its key, or its preview, belongs to a run already; else nothing.
local function taken(run_prefix, holder, spent_by, doc, now, quota)
  if holder then
    local fields = redis.call('HGETALL', run_prefix .. holder)
    if #fields == 0 then return {'expired', quota, holder} end
    return {'taken', quota, holder, now, fields, (doc or spent_by) and 1 or 0}
  end
  if spent_by then
    local answered = redis.call('EXISTS', run_prefix .. spent_by) == 1
    return {answered and 'spent' or 'expired', quota, spent_by}
  end
end
