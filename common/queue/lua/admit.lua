#!lua flags=allow-oom
-- with: lib, end_lib, hold_lib
--[[ admit: give claimed payloads their own ids.

  ARGV[1] token   of the claim
  ARGV[2] worker
  ARGV[3] lease   ms
  ARGV[4] ttl     ms that a reply list lives
  then nine for each job: its claim id (its own where its claim has admitted it: is it still this worker's?)
  and what the worker has read in its payload:
    claim id, id, pushed_at, start, start is, expiry, expiry is, reply_to, run
    start and expiry are -1 (none) or a time; "at" = since the epoch, "in" = after pushed_at

  Returns {now, {code, created, expires_at}...}, the code alone where created is when it was claimed and there is
  no expiry:
    active     leased under its id: call the API
    delayed    its start time is ahead, or its run is paused
    duplicate  its id is unfinished or has a result: counted, not run
    expired, cancelled   leased under its id: settle it so, no call
    lost       the claim's lease ran out and the bytes went back
  Keeps:   a payload is under its claim id or under its id, never both. A finished id is not rerun.
  Bounds:  results pushed to duplicates' reply lists: 1 MiB beyond the first; a duplicate too many
           goes back to `jobs`, and its answer is lost.
  Repeat:  a job this token has admitted already answers as it did, and its lease runs anew.
]]
local token, worker, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local ends = text(now + lease)
local leased = {}        -- ends and ids of what may run
local any_cancel = false -- is there anything in `cancel`?

local function time_of(value, is, from)
  local n = tonumber(value)
  if n < 0 then return -1 end
  return is == 'in' and from + n or n
end

-- leave_for: what a leased job may still do.
local function leave_for(id, expires)
  if expires >= 0 and expires <= now then return 'expired' end
  if any_cancel and call('SISMEMBER', cancel, id) == 1 then return 'cancelled' end
  return 'active'
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
  return code, created, expires
end

-- enter gives code, created, expires_at. `claim` is the id that the hash came from.
local function enter(claim, at)
  local id, run = ARGV[at], ARGV[at + 7]
  local key = stem_job .. id
  if run ~= '' then call('HSET', key, 'run', run) end -- a recovery must know whether it is held
  count('admitted', 1, run)
  if ARGV[at + 1] == '-1' and ARGV[at + 2] == '-1' and ARGV[at + 4] == '-1' then
    return lease_it(claim, id, key, -1, run), 0, -1
  end
  return schedule(claim, at, id, key, tonumber(call('HGET', key, 'created')))
end

local ttl = tonumber(ARGV[4])
local gone = {} -- claim ids whose bytes are elsewhere now

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

-- already: the payload is no longer under its claim id, or its claim has admitted it.
local function already(claim, id, key)
  local code = claim ~= id and call('GET', stem .. 'op:' .. claim)
  if code == 'duplicate' or code == 'lost' then return {code, 0, -1} end
  local f = call('HMGET', key, 'token', 'created', 'expires_at')
  if not code and f[1] ~= token then return {'lost', 0, -1} end
  local created, expires = tonumber(f[2] or '0'), tonumber(f[3] or '-1')
  if code then return {code, created, expires} end
  leased[#leased + 1] = ends
  leased[#leased + 1] = id
  return {leave_for(id, expires), created, expires}
end

local function give_back(claim, from)
  gone[#gone + 1] = claim
  call('RPUSH', jobs, call('HGET', from, 'payload'))
  call('DEL', from)
  return {mark(claim, 'lost'), 0, -1}
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

-- moved: false where the id is in use, nil where the claim id is gone. It is one claim's for ever, and
-- its key goes when the lease is taken back; so while it is there, it is this worker's.
local function moved(from, key)
  local n = try('RENAMENX', from, key)
  if n == 0 or n == 1 then return n == 1 end
  if not string.find(n.err, 'no such key', 1, true) then call('RENAMENX', from, key) end -- fails, and says why
  return nil
end

-- twin: the id is in use, as far as was to be seen. Nil where it is free after all.
local function twin(claim, at, from, key)
  local id = ARGV[at]
  if call('EXISTS', from) == 0 then return already(claim, id, key) end
  if not is_ours(key, stem_result .. id) then return {'lost', 0, -1} end
  local is = duplicate(id, key, ARGV[at + 6])
  if is == 'later' then return give_back(claim, from) end
  return is == 'yes' and settle_twin(claim, from, ARGV[at + 7]) or nil
end

-- any_result: has one of these ids a result? Mostly not, so all are asked about at once.
local function any_result()
  local keys = {}
  for at = 6, #ARGV, 9 do keys[#keys + 1] = stem_result .. ARGV[at] end
  return #keys > 0 and call('EXISTS', unpack(keys)) > 0
end
local with_result = any_result()

local function admit(claim, at)
  local id = ARGV[at]
  local from, key = stem_job .. claim, stem_job .. id
  if claim == id then return already(claim, id, key) end
  local free = not (with_result and call('EXISTS', stem_result .. id) == 1) and moved(from, key)
  if free == nil then return already(claim, id, key) end
  if not free then
    local answer = twin(claim, at, from, key)
    if answer then return answer end
    call('RENAME', from, key)
  end
  gone[#gone + 1] = claim
  local code, created, expires = enter(claim, at)
  return created == 0 and expires < 0 and code or {code, created, expires}
end

check_sets()
call('SCARD', waited) -- of another type, it is found out here too
local out = {now}
any_cancel = call('SCARD', cancel) > 0
for at = 5, #ARGV, 9 do out[#out + 1] = admit(ARGV[at], at + 1) end
if #leased > 0 then call('ZADD', active, unpack(leased)) end
if #gone > 0 then call('ZREM', active, unpack(gone)) end
write_counts()
return out
