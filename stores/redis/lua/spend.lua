-- Spend one request of a quota, before any work is done for it.
--   KEYS  bucket of the key, bucket of the workspace
--   ARGV  requests a minute of the key, of the workspace; 0 for no limit
-- Answers
--   {'granted', quota}
--   {'limited', quota, 'key' or 'workspace', retry_ms}
--   quota: {'key' or 'workspace', left, full_in_ms} of the bucket with less left; {} without limits
-- Sent twice: spends twice, which errs on the safe side.
-- include quota
local of_key, of_workspace = unpack(KEYS)
local per_key, per_workspace = unpack(ARGV)

local empty, retry_ms, quota = spend(buckets_of(of_key, per_key, of_workspace, per_workspace), true)
if empty then return {'limited', quota, empty, retry_ms} end
return {'granted', quota}
