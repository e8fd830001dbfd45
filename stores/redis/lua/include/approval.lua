-- An approval is a hash that outlives the decision. It holds the preview's document as `held` while
-- that may still be sent. The preview itself exists only from the approval until `use_by`, so that
-- no script of any release can send what was not approved, or send it too late.
--   state: pending, approved, denied, cancelled, withdrawn or outdated; by the clock also expired
--   (no decision by `decide_by`) and unused (approved, but not executed by `use_by`)
local TOMBSTONE_MS = 24 * 3600 * 1000

-- The state at this time and the deadline of the decision; nil if there is no such approval.
local function state_at(approval, now)
  local state, decide_by, use_by =
    unpack(redis.call('HMGET', approval, 'state', 'decide_by', 'use_by'))
  if state == 'pending' and now >= tonumber(decide_by) then state = 'expired' end
  if state == 'approved' and now >= tonumber(use_by) then state = 'unused' end
  return state or nil, tonumber(decide_by or 0)
end

-- The same; nil where the preview exists.
local function state_without(doc, approval, now)
  if not doc then return state_at(approval, now) end
end

-- End an approval: nothing of it can be sent any more, and the answer outlives it by a day.
local function end_approval(approval, preview, pending, preview_id, state, now)
  redis.call('HSET', approval, 'state', state)
  redis.call('HDEL', approval, 'held')
  redis.call('PEXPIREAT', approval, now + TOMBSTONE_MS)
  if preview then redis.call('DEL', preview) end
  redis.call('ZREM', pending, preview_id)
end

-- The audit entry of a change, with the state that follows from it.
local function record_approval(outbox, approval, preview_id, state, entry, now)
  redis.call('XADD', outbox, '*', 'at', now, 'entry', entry, 'preview', preview_id,
    'status', state, 'origin', redis.call('HGET', approval, 'origin'))
end
