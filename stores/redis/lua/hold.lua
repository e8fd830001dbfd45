-- Keep a preview that may be executed only after an approval.
--   KEYS  approval, pending, outbox, notices
--   ARGV  preview_id, doc, origin (JSON), by (JSON: who asked), target (or empty), digest, requester
--         (subject), requester_key, requirement (JSON), decide_ms, use_ms, facts (JSON, for
--         the notices), remind_ms (0: no reminder), entry (JSON, for the audit), channel, then of
--         each rule how many approvals it needs
-- Answer
--   {'held', decide_by_ms}
-- Sent twice: answers the same and changes nothing, since a decision may have come in between.
-- include clock, approval, notices
local approval, pending, outbox, notices = unpack(KEYS)
local preview_id, doc, origin, by, target, digest, requester, requester_key, requirement,
  decide_ms, use_ms, facts, remind_ms, entry, channel = unpack(ARGV)
local now, held_until = milliseconds(), redis.call('HGET', approval, 'decide_by')
if held_until then return {'held', tonumber(held_until)} end
local decide_by = now + tonumber(decide_ms)

redis.call('HSET', approval, 'state', 'pending', 'held', doc, 'origin', origin, 'by', by,
  'target', target, 'digest', digest, 'requester', requester, 'requester_key', requester_key, 'at', now,
  'requirement', requirement, 'decide_by', decide_by, 'use_ms', use_ms, 'rules', #ARGV - 15,
  'notice', facts)
for rule = 1, #ARGV - 15 do
  redis.call('HSET', approval, 'left:' .. rule, ARGV[15 + rule])
end
redis.call('PEXPIREAT', approval, decide_by + TOMBSTONE_MS)
redis.call('ZADD', pending, decide_by, preview_id)
redis.call('PEXPIRE', pending, 7 * 24 * 3600 * 1000)
record_approval(outbox, approval, preview_id, 'pending', entry, now)
add_notice(notices, approval, 'requested', preview_id, now)
if tonumber(remind_ms) > 0 then
  add_notice(notices, approval, 'reminder', preview_id, now + remind_ms)
end
redis.call('PUBLISH', channel, 'pending')
return {'held', decide_by}
