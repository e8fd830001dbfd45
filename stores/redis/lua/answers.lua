#!lua flags=allow-oom
-- Read what channels answered last. The flag makes a replica refuse, whose data may be old.
--   KEYS  answers
-- Answer
--   {'answers', answer (JSON) or nil, ...} in the order of the keys
-- Sent twice: answers the same.
return {'answers', unpack(redis.call('MGET', unpack(KEYS)))}
