--[[ admit_lib: a payload that has been read gets its own id: by `admit`, or at once by a `claim` that
  was told what it might find. ARGV[1] to [4] are theirs alike: token, worker, lease, ttl.

  What a worker has read in a payload is eight arguments:
    id, pushed_at, start, start is, expiry, expiry is, reply_to, run
    start and expiry are -1 (none) or a time; "at" = since the epoch, "in" = after pushed_at
]]
local token, worker, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local ttl = tonumber(ARGV[4]) -- ms that a reply list lives
local ends = text(now + lease)
local gone, leased = {}, {}   -- claim ids whose bytes are elsewhere now; ends and ids of what may run
local any_cancel = false      -- is there anything in `cancel`?

local function time_of(value, is, from)
  local n = tonumber(value)
  if n < 0 then return -1 end
  return is == 'in' and from + n or n
end

-- push_result: the result that is there goes to the list that another payload of its id names.
local pushed_bytes
local function push_result(id, reply)
  local len = call('STRLEN', stem_result .. id)
  if pushed_bytes and pushed_bytes + len > BATCH then return false end
  pushed_bytes = (pushed_bytes or -len) + len
  push_reply(reply, call('GET', stem_result .. id), ttl)
  return true
end

-- duplicate: 'no', 'yes' (the id has a result, or is unfinished, in which case its result will be
-- pushed too) or 'later': enough results have been pushed in this call.
local function duplicate(id, key, reply)
  if call('EXISTS', stem_result .. id) == 1 then
    return (reply == '' or push_result(id, reply)) and 'yes' or 'later'
  end
  local state = call('HGET', key, 'state')
  if state == 'dead' then -- finished, and its result has expired: the id is free again
    call('ZREM', dead, id)
    call('DEL', key)
    return 'no'
  end
  if reply ~= '' then
    call('SADD', stem .. 'replies:' .. id, reply)
    call('SADD', waited, id)
  end
  return 'yes'
end

-- leave_for: what a leased job may still do.
local function leave_for(id, expires)
  if expires >= 0 and expires <= now then return 'expired' end
  if any_cancel and call('SISMEMBER', cancel, id) == 1 then return 'cancelled' end
  return 'active'
end

-- already: the payload is no longer under its claim id.
local function already(claim, id, key)
  local code = call('GET', stem .. 'op:' .. claim)
  if code == 'duplicate' or code == 'lost' then return {code, 0, -1} end
  local f = call('HMGET', key, 'token', 'created', 'expires_at')
  if not code and f[1] ~= token then return {'lost', 0, -1} end
  local created, expires = tonumber(f[2] or '0'), tonumber(f[3] or '-1')
  return {code or leave_for(id, expires), created, expires}
end

local function give_back(claim, from)
  gone[#gone + 1] = claim
  call('RPUSH', jobs, call('HGET', from, 'payload'))
  call('DEL', from)
  return {mark(claim, 'lost'), 0, -1}
end

local function delay(claim, id, key, due)
  due = text(due)
  call('HSET', key, 'state', 'delayed', 'due', due, 'attempts', '0', 'throttles', '0',
       'recoveries', '0')
  call('HDEL', key, 'token', 'worker')
  call('ZADD', delayed, due, id)
  return claim == '' and 'delayed' or mark(claim, 'delayed', lease)
end

local function lease_it(claim, id, key, expires, run)
  local code = leave_for(id, expires)
  if code == 'active' and is_held(run) then
    return delay(claim, id, key, tonumber(hold(id, run, key, text(now))))
  end
  leased[#leased + 1] = ends
  leased[#leased + 1] = id
  return code
end

-- schedule: where a job goes that says when it was pushed, may start or expires.
local function schedule(claim, at, id, key, created)
  local pushed = tonumber(ARGV[at + 1])
  if pushed >= 0 then created = math.min(pushed, now) end
  local due = time_of(ARGV[at + 2], ARGV[at + 3], created)
  local expires = time_of(ARGV[at + 4], ARGV[at + 5], created)
  if expires >= 0 then
    call('HSET', key, 'created', text(created), 'expires_at', text(expires))
  else
    call('HSET', key, 'created', text(created))
  end
  local waits = due > now and (expires < 0 or expires > now)
  if waits and expires >= 0 then due = math.min(due, expires) end
  local code = waits and delay(claim, id, key, due)
    or lease_it(claim, id, key, expires, ARGV[at + 7])
  return {code, created, expires}
end

local function settle_twin(claim, from, run)
  gone[#gone + 1] = claim
  call('DEL', from)
  count('duplicates', 1, run)
  return {mark(claim, 'duplicate'), 0, -1}
end

-- is_ours: a stranger's key of another type under the id stops this payload only: it stays under its
-- claim, comes back when the lease runs out, and is dead after so many turns.
local function is_ours(key, result)
  local is_job, is_result = call('TYPE', key).ok, call('TYPE', result).ok
  return (is_job == 'hash' or is_job == 'none') and (is_result == 'string' or is_result == 'none')
end

-- moved: a claim id is one claim's for ever, and its key goes when the lease is taken back; so while it
-- is there, it is this worker's.
local function moved(from, key) return try('RENAME', from, key).ok ~= nil end

-- enter: a job's hash is under its own id now. `claim` is the one it came from, '' = none.
local function enter(claim, at)
  local id, run = ARGV[at], ARGV[at + 7]
  local key = stem_job .. id
  if run ~= '' then call('HSET', key, 'run', run) end -- a recovery must know whether it is held
  count('admitted', 1, run)
  if ARGV[at + 1] == '-1' and ARGV[at + 2] == '-1' and ARGV[at + 4] == '-1' then
    return {lease_it(claim, id, key, -1, run), 0, -1}
  end
  return schedule(claim, at, id, key, tonumber(call('HGET', key, 'created')))
end

-- admit answers {code, created, expires_at} (admit.lua).
local function admit(claim, at)
  local id, reply, run = ARGV[at], ARGV[at + 6], ARGV[at + 7]
  local from, key = stem_job .. claim, stem_job .. id
  if call('EXISTS', key, stem_result .. id) > 0 then
    if call('EXISTS', from) == 0 then return already(claim, id, key) end
    if not is_ours(key, stem_result .. id) then return {'lost', 0, -1} end
    local twin = duplicate(id, key, reply)
    if twin == 'later' then return give_back(claim, from) end
    if twin == 'yes' then return settle_twin(claim, from, run) end
  end
  if not moved(from, key) then return already(claim, id, key) end
  gone[#gone + 1] = claim
  return enter(claim, at)
end
