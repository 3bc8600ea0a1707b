#!lua flags=allow-oom
--[[ admit: give claimed payloads their own ids.

  ARGV[1] token   of the claim
  ARGV[2] worker
  ARGV[3] lease   ms
  ARGV[4] ttl     ms that a reply list lives
  then nine for each job:
    claim id, id, pushed_at, start, start is, expiry, expiry is, reply_to, run
    start and expiry are -1 (none) or a time; "at" = since the epoch, "in" = after pushed_at

  Returns {now, {code, created, expires_at}...}; created 0 = when it was claimed:
    active     leased under its id: call the API
    delayed    its start time is ahead, or its run is paused
    duplicate  its id is unfinished or has a result: counted, not run
    expired, cancelled   leased under its id: settle it so, no call
    lost       the claim's lease ran out and the bytes went back
  Keeps:   a payload is under its claim id or under its id, never both. A finished id is not rerun.
  Bounds:  results pushed to duplicates' reply lists: 1 MiB beyond the first; a duplicate too many
           goes back to `jobs`, and its answer is lost.
  Repeat:  a job this token has admitted already answers as it did.
]]
local token, worker, lease, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local out, gone, leased, ends = {now}, {}, {}, text(now + lease)
local any_cancel = call('SCARD', cancel) > 0

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
  return mark(claim, 'delayed', lease)
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
local function schedule(at, id, key, created)
  local pushed = tonumber(ARGV[at + 2])
  if pushed >= 0 then created = math.min(pushed, now) end
  local due = time_of(ARGV[at + 3], ARGV[at + 4], created)
  local expires = time_of(ARGV[at + 5], ARGV[at + 6], created)
  if expires >= 0 then
    call('HSET', key, 'created', text(created), 'expires_at', text(expires))
  else
    call('HSET', key, 'created', text(created))
  end
  local waits = due > now and (expires < 0 or expires > now)
  if waits and expires >= 0 then due = math.min(due, expires) end
  local code = waits and delay(ARGV[at], id, key, due)
    or lease_it(ARGV[at], id, key, expires, ARGV[at + 8])
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

local function admit(at)
  local claim, id, reply, run = ARGV[at], ARGV[at + 1], ARGV[at + 7], ARGV[at + 8]
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
  if run ~= '' then call('HSET', key, 'run', run) end -- a recovery must know whether it is held
  count('admitted', 1, run)
  if ARGV[at + 2] == '-1' and ARGV[at + 3] == '-1' and ARGV[at + 5] == '-1' then
    return {lease_it(claim, id, key, -1, run), 0, -1}
  end
  return schedule(at, id, key, tonumber(call('HGET', key, 'created')))
end

check_sets()
for at = 5, #ARGV, 9 do out[#out + 1] = admit(at) end
if #gone > 0 then call('ZREM', active, unpack(gone)) end
if #leased > 0 then call('ZADD', active, unpack(leased)) end
write_counts()
return out
