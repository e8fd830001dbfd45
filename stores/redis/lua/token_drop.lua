-- Forget the access token of a connection.
--   KEYS  access_token
--   ARGV  doc (the one to forget; '' for any)
-- Answer
--   {'dropped'}
-- Sent twice: the same. A newer token stays.
local token, doc = KEYS[1], ARGV[1]
if doc == '' or redis.call('GET', token) == doc then redis.call('DEL', token) end
return {'dropped'}
