--[[ admit_lib: what a job may do once its hash is under its own id: for `admit`, and for a `claim` that was
  told what it might find. ARGV[1] to [3] are theirs alike: token, worker, lease.

  What a worker has read in a payload is eight arguments:
    id, pushed_at, start, start is, expiry, expiry is, reply_to, run
    start and expiry are -1 (none) or a time; "at" = since the epoch, "in" = after pushed_at
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
  return code, created, expires
end

-- enter gives code, created, expires_at (admit.lua). `claim` is the id that the hash came from, '' = none.
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
