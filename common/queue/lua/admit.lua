--[[ admit: give claimed payloads their own ids.

  ARGV[1] token   of the claim
  ARGV[2] worker
  ARGV[3] lease   ms
  ARGV[4] ttl     ms that a reply list lives
  then nine for each job:
    claim id, id, pushed_at, start, start is, expiry, expiry is, reply_to, run
    start and expiry are -1 (none) or a time; "at" = since the epoch, "in" = after pushed_at

  Returns {now, {code, created, expires_at}...}:
    active     leased under its id: call the API
    delayed    its start time is ahead
    duplicate  its id is unfinished or has a result: counted, not run
    expired, cancelled   leased under its id: settle it so, no call
    lost       the claim's lease ran out and the bytes went back
  Keeps:   a payload is under its claim id or under its id, never both. A finished id is not rerun.
  Repeat:  a job this token has admitted already answers as it did.
]]
local token, worker, lease, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local out, gone, leased = {now}, {}, {}

local function time_of(value, is, from)
  local n = tonumber(value)
  if n < 0 then return -1 end
  return is == 'in' and from + n or n
end

-- duplicate: the id has a result, or is unfinished, in which case its result will be pushed too.
local function duplicate(id, key, reply)
  local result = reply ~= '' and call('GET', result_key(id))
  if result then
    push_replies(reply, result, ttl)
    return true
  end
  if call('EXISTS', result_key(id)) == 1 then return true end
  local state = call('HGET', key, 'state')
  if not state then return false end
  if state == 'dead' then -- finished, and its result has expired: the id is free again
    call('ZREM', dead, id)
    call('DEL', key)
    return false
  end
  if reply ~= '' then
    call('HSET', key, 'replies', (call('HGET', key, 'replies') or '') .. ' ' .. reply)
  end
  return true
end

local function already(id)
  local f = call('HMGET', job_key(id), 'token', 'state', 'created', 'expires_at')
  if f[1] ~= token then return {'lost', 0, -1} end
  return {f[2] == 'active' and 'active' or 'delayed', tonumber(f[3]), tonumber(f[4] or '-1')}
end

local function place(id, key, due, expires)
  if due > now and (expires < 0 or expires > now) then
    local at = expires >= 0 and math.min(due, expires) or due
    call('HSET', key, 'state', 'delayed', 'due', at)
    call('ZADD', delayed, at, id)
    return 'delayed'
  end
  leased[#leased + 1] = now + lease
  leased[#leased + 1] = id
  if expires >= 0 and expires <= now then return 'expired' end
  if call('SISMEMBER', cancel, id) == 1 then return 'cancelled' end
  return 'active'
end

local function admit(at)
  local claim, id, reply, run = ARGV[at], ARGV[at + 1], ARGV[at + 7], ARGV[at + 8]
  local from, key = job_key(claim), job_key(id)
  local holder = call('HGET', from, 'token')
  if not holder then return already(id) end
  if holder ~= token then return {'lost', 0, -1} end
  gone[#gone + 1] = claim
  if duplicate(id, key, reply) then
    call('DEL', from)
    count('duplicates', 1, run)
    return {'duplicate', 0, -1}
  end
  local pushed = tonumber(ARGV[at + 2])
  local created = pushed >= 0 and math.min(pushed, now) or now
  local due = time_of(ARGV[at + 3], ARGV[at + 4], created)
  local expires = time_of(ARGV[at + 5], ARGV[at + 6], created)
  call('RENAME', from, key)
  call('HSET', key, 'state', 'active', 'attempts', 0, 'throttles', 0, 'recoveries', 0,
       'created', created)
  if expires >= 0 then call('HSET', key, 'expires_at', expires) end
  count('admitted', 1, run)
  return {place(id, key, due, expires), created, expires}
end

for at = 5, #ARGV, 9 do out[#out + 1] = admit(at) end
if #gone > 0 then call('ZREM', active, unpack(gone)) end
if #leased > 0 then call('ZADD', active, unpack(leased)) end
write_counts()
return out
