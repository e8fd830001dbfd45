-- Give up an approval before its preview is executed: `cancelled` while it is pending, `withdrawn`
-- after it was approved, `outdated` if the policy or the approvers are not the same any more.
--   KEYS  approval, preview, pending, outbox
--   ARGV  preview_id, reason (`given_up` or `outdated`), entry (JSON, for the audit), channel, by
--         (the subject that gives it up)
-- Answers
--   {'withdrawn', state}
--   {'ended', state}                 nothing is left to give up
--   {'spent', run_id}                a run has spent the preview
--   {'no_approval'}
-- Sent twice: {'ended', state} the second time.
-- include clock, approval
local approval, preview, pending, outbox = unpack(KEYS)
local preview_id, reason, entry, channel, by = unpack(ARGV)
local now = milliseconds()
local state = state_at(approval, now)
if not state then return {'no_approval'} end
local run_id = redis.call('HGET', preview, 'run')
if run_id then return {'spent', run_id} end
if state ~= 'pending' and state ~= 'approved' then return {'ended', state} end

state = reason == 'outdated' and 'outdated' or state == 'pending' and 'cancelled' or 'withdrawn'
redis.call('HSET', approval, 'ended_by', by)
end_approval(approval, preview, pending, preview_id, state, now)
record_approval(outbox, approval, preview_id, state, entry, now)
redis.call('PUBLISH', channel, state)
return {'withdrawn', state}
