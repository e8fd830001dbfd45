-- Keep what a channel answered last.
--   KEYS  answer
--   ARGV  answer (JSON), how long it is kept (ms)
-- Answer
--   {'kept'}
-- Sent twice: keeps the same.
local answer = KEYS[1]
local document, keep_ms = unpack(ARGV)
redis.call('SET', answer, document, 'PX', keep_ms)
return {'kept'}
