#!lua flags=allow-oom
-- with: lib, end_lib
--[[ reject: what is no valid job goes to dead with its raw bytes and the reason.

  ARGV[1] token  of the claim
  ARGV[2] ttl    ms that a result and a reply list live
  then seven for each payload:
    the id it is leased under (a claim id, or its own, where it is admitted), the id it names ('' = none
    that is valid), a new ULID, reason, the result after its id (`,"status":"failed",...}`),
    reply_to ('' = none), run ('' = none)

  Returns {now, id...}: the id it is dead under, or '' where the claim was lost.
  Keeps:  nothing of a job that uses the same id changes.
  Repeat: a second time the claim is gone, and nothing happens.
]]
local token, ttl = ARGV[1], ARGV[2]
local out = {now}

-- free_id: under which id it is dead.
local function free_id(at)
  local id = ARGV[at + 1]
  if id == '' or call('EXISTS', stem_job .. id, stem_result .. id) > 0 then return ARGV[at + 2] end
  return id
end

local function reject(at)
  local claim = ARGV[at]
  local from, admitted = stem_job .. claim, string.sub(claim, 1, 1) ~= '~'
  if call('HGET', from, 'token') ~= token then return '' end
  local id = admitted and claim or free_id(at)
  local key = stem_job .. id
  if admitted then count('admitted', -1, ARGV[at + 6]) else call('RENAME', from, key) end
  call('HSET', key, 'state', 'dead', 'attempts', '0', 'throttles', '0', 'recoveries', '0',
       'died', text(now), 'cause', 'invalid_job', 'last_error', ARGV[at + 3], 'raw', '1')
  call('HDEL', key, 'token', 'worker', 'due')
  call('ZREM', active, claim)
  call('ZADD', dead, text(now), id)
  local result = '{"id":"' .. id .. '"' .. ARGV[at + 4]
  call('SET', stem_result .. id, result, 'PX', ttl)
  push_reply(ARGV[at + 5], result, ttl)
  if admitted and call('SREM', waited, id) == 1 then push_replies(id, result, ttl, ARGV[at + 5]) end
  count('failed', 1, ARGV[at + 6])
  tell(id, 'failed', ARGV[at + 6])
  count('invalid', 1)
  return id
end

check_sets()
call('SCARD', waited)
for at = 3, #ARGV, 7 do out[#out + 1] = reject(at) end
write_counts()
return out
