-- Count an approval for the rules it counts for, from `first` on in `args`. Whether no rule needs
-- another one.
local function count_approval(approval, rules, args, first)
  for position = first, #args do
    redis.call('HINCRBY', approval, 'left:' .. args[position], -1)
  end
  for rule = 1, tonumber(rules) do
    if tonumber(redis.call('HGET', approval, 'left:' .. rule)) > 0 then return false end
  end
  return true
end

-- Who approved and what was asked, as JSON.
local function granted_by(approval)
  local found, fields = {}, redis.call('HGETALL', approval)
  for position = 1, #fields, 2 do
    if string.sub(fields[position], 1, 3) == 'by:' then found[#found + 1] = fields[position + 1] end
  end
  table.sort(found)
  return '{"deciders":[' .. table.concat(found, ',') .. '],"asked":' ..
    redis.call('HGET', approval, 'requirement') .. '}'
end

-- Make the preview: from here on it can be executed, until `use_by`.
local function approve(approval, preview, pending, preview_id, now)
  local held, origin, target, use_ms, by =
    unpack(redis.call('HMGET', approval, 'held', 'origin', 'target', 'use_ms', 'by'))
  local use_by = now + use_ms
  redis.call('HSET', preview, 'doc', held, 'origin', origin, 'by', by, 'expires_at', use_by,
    'granted', granted_by(approval))
  if target ~= '' then redis.call('HSET', preview, 'target', target) end
  redis.call('PEXPIREAT', preview, use_by)
  redis.call('HSET', approval, 'state', 'approved', 'use_by', use_by)
  redis.call('PEXPIREAT', approval, use_by + TOMBSTONE_MS)
  redis.call('ZREM', pending, preview_id)
end
