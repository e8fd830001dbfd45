-- Decide on a held preview. Who may decide was checked before; this is what must be atomic.
--   KEYS  approval, preview, pending, outbox, notices
--   ARGV  preview_id, digest (of what the approver saw), subject, record (JSON: decision `approve`
--         or `deny`, subject, key, role, reason), makers (JSON: the subjects and the ids of keys
--         that made the approver's key), entry (JSON, for the audit), channel, then the numbers of
--         the rules that this approval counts for
-- Answers
--   {'decided', state}
--   {'ended', state}                 it was decided otherwise, has expired or was given up
--   {'own'}                          by the requester, or with a key that the requester made
--   {'mismatch', digest}             the approver saw something else
--   {'no_approval'}
-- Sent twice: answers the same.
-- include clock, approval, approve, notices
local approval, preview, pending, outbox, notices = unpack(KEYS)
local preview_id, digest, subject, record, makers, entry, channel = unpack(ARGV)
local now, decision = milliseconds(), cjson.decode(record)
local state = state_at(approval, now)
if not state then return {'no_approval'} end
local requester, requester_key, of, rules =
  unpack(redis.call('HMGET', approval, 'requester', 'requester_key', 'digest', 'rules'))
for _, maker in ipairs({subject, decision.key, unpack(cjson.decode(makers))}) do
  if maker == requester or maker == requester_key then return {'own'} end
end
if digest ~= of then return {'mismatch', of} end
local before = redis.call('HGET', approval, 'by:' .. subject)
if before and state ~= 'expired' and cjson.decode(before).decision == decision.decision then
  return {'decided', state}
end
if state ~= 'pending' then return {'ended', state} end

decision.at = now
redis.call('HSET', approval, 'by:' .. subject, cjson.encode(decision))
if decision.decision == 'deny' then
  state = 'denied'
  end_approval(approval, preview, pending, preview_id, state, now)
elseif count_approval(approval, rules, ARGV, 8) then
  state = 'approved'
  approve(approval, preview, pending, preview_id, now)
end
if state ~= 'pending' then add_notice(notices, approval, state, preview_id, now) end
record_approval(outbox, approval, preview_id, state, entry, now)
redis.call('PUBLISH', channel, state)
return {'decided', state}
