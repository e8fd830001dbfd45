-- Keep a preview that may be executed only after an approval.
--   KEYS  approval, pending, outbox
--   ARGV  preview_id, doc, origin (JSON), by (JSON: who asked), target (or empty), digest, requester
--         (subject), requester_key, requirement (JSON), decide_ms, use_ms, entry (JSON, for
--         the audit), then of each rule how many approvals it needs
-- Answer
--   {'held', decide_by_ms}
-- Sent twice: holds the same preview, and its deadline is later.
-- include clock, approval
local approval, pending, outbox = unpack(KEYS)
local preview_id, doc, origin, by, target, digest, requester, requester_key, requirement,
  decide_ms, use_ms, entry = unpack(ARGV)
local now = milliseconds()
local decide_by = now + tonumber(decide_ms)

redis.call('HSET', approval, 'state', 'pending', 'held', doc, 'origin', origin, 'by', by,
  'target', target, 'digest', digest, 'requester', requester, 'requester_key', requester_key, 'at', now,
  'requirement', requirement, 'decide_by', decide_by, 'use_ms', use_ms, 'rules', #ARGV - 12)
for rule = 1, #ARGV - 12 do
  redis.call('HSET', approval, 'left:' .. rule, ARGV[12 + rule])
end
redis.call('PEXPIREAT', approval, decide_by + TOMBSTONE_MS)
redis.call('ZADD', pending, decide_by, preview_id)
redis.call('PEXPIRE', pending, 7 * 24 * 3600 * 1000)
record_approval(outbox, approval, preview_id, 'pending', entry, now)
return {'held', decide_by}
