#!lua flags=allow-oom
-- Read what was approved last of a kind.
--   KEYS  remembered
--   ARGV  kind
-- Answers
--   {'recalled', preview_id, at_ms, doc}
--   {'nothing'}
-- Sent twice: answers the same.
-- include clock
local kept = redis.call('HGET', KEYS[1], ARGV[1])
if not kept then return {'nothing'} end
local preview_id, at, ends, doc = string.match(kept, '^(%S+) (%d+) (%d+) (.*)$')
if milliseconds() >= tonumber(ends) then return {'nothing'} end
return {'recalled', preview_id, tonumber(at), doc}
