#!lua
-- with: lib
--[[ claim: take up to `want` jobs and lease them to one worker.

  ARGV[1] token   names this claim; every later move of its jobs must show it (fencing)
  ARGV[2] worker  who takes the lease
  ARGV[3] lease   ms
  ARGV[4] want    how many at most, 0-100; 0 takes cancelled delayed jobs only
  ARGV[5] id stem 23 characters, the time and the chance of a ULID, from which the ids are made: of a claim '~' and
                  a ULID, of a job that names none a ULID

  First delayed jobs that are to be cancelled, then what is due, then `jobs` from the right. A payload from `jobs` that
  tells nothing of itself but its id, which is free, is a job from now on. Any other is not read here: it is leased
  under its claim id, and `admit` follows. No payload is parsed: one that is no job after all is rejected.

  Returns {now, next due or -1, LLEN jobs, why, item...}; why is '', 'paused' or 'version' (the queue belongs to
  a newer Penstock). An item is
    {claim id, payload, bytes, created}   to be admitted; bytes and created are left out where the one is the payload's
                                          length and the other is now
    {id, payload, bytes, created}         likewise, but admitted just now
    {id, payload, bytes, attempts, throttles, recoveries, created, expires_at, cancelled, started, reading}
                                          from `delayed`; a counter that its hash lacks is 0. Reading is 1
                                          where a worker has died while it read the payload once more
  The payload of a large job is false: HGET job:<id> payload brings it without crossing Lua again.
  Keeps:   a job is in one of jobs, delayed and active, never in two and never in none.
  Bounds:  100 jobs; 64 KiB beyond the first, or one more job that makes it 1 MiB at most. A large
           job ends its batch.
  Repeat:  the same token again answers with what it took and still holds, and those leases run anew.
  Memory:  the one script that Redis refuses when it has none left, so that what is in flight can end.
]]
local ENOUGH = 65536 -- bytes after which no more is taken: twice as much is a millisecond
local token, worker, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local want = math.min(tonumber(ARGV[4]), 100)
local ends = text(now + lease)
local any_cancel = false -- is there anything in `cancel`?
local items, ids, bytes, full = {}, {}, 0, false
local left = {} -- what is to leave delayed
local op = stem .. 'op:' .. token
local soonest, waiting -- when the next delayed job is due, -1 = none; how many are in `jobs`
local leases -- how many jobs are in `active`

-- fits: may a job of that size join this batch?
local function fits(len)
  return #items == 0 or (len <= LARGE and bytes + len <= ENOUGH)
end

local function add(item, len)
  items[#items + 1] = item
  if #items > 1 then bytes = bytes + len end
  if len > LARGE or #items >= 100 then full = true end
end

-- Up to 128 members Redis keeps a sorted set as a flat list, which is gone through from its head for each
-- one that comes or goes: that was the dearest part of a job. A member of more than 64 bytes makes it a
-- skip list, which it stays until it is empty.
local function lease_all()
  if #ids == 0 then return end
  local args = {}
  for i = 1, #ids do
    args[2 * i - 1] = ends
    args[2 * i] = ids[i]
  end
  local many = leases + #ids
  local flat = many >= 16 and many <= 128
  local wide = flat and string.rep('~', 65)
  call('SET', op, table.concat(ids, ' '), 'PX', ARGV[3])
  if flat then call('ZADD', active, ends, wide) end
  call('ZADD', active, unpack(args))
  if flat then call('ZREM', active, wide) end
end

local function describe(id, key, len, cancelled)
  local f = call('HMGET', key, 'attempts', 'throttles', 'recoveries', 'created', 'expires_at',
                 len <= LARGE and 'payload' or 'none', 'started')
  if not f[1] and not cancelled then return {id, f[6], len, f[4]} end -- it has been nowhere yet
  local recovered = f[3] and f[3] ~= '0'
  return {id, f[6], len, f[1] or '0', f[2] or '0', f[3] or '0', f[4] or '0', f[5] or '-1',
          cancelled and 1 or 0, f[7] or '0', recovered and call('EXISTS', stem .. 'op:read:' .. id) or 0}
end

-- take_delayed: lease one delayed job; false where it must wait for another batch.
local function take_delayed(id, cancelled)
  local key = stem_job .. id
  local len = call('HSTRLEN', key, 'payload')
  if len == 0 then
    left[#left + 1] = id
    forget(id)
    return true
  end
  if not fits(len) then return false end
  add(describe(id, key, len, cancelled), len)
  left[#left + 1] = id
  call('HSET', key, 'state', 'active', 'token', token, 'worker', worker)
  ids[#ids + 1] = id
  return true
end

local function leave_delayed()
  if #left == 0 then return end
  call('ZREM', delayed, unpack(left))
  left = {}
  soonest = next_due()
end

local function take_cancelled()
  any_cancel = call('SCARD', cancel) > 0
  if not any_cancel then return end
  for _, id in ipairs(call('SRANDMEMBER', cancel, 100)) do
    if full then return end
    if call('ZSCORE', delayed, id) and not take_delayed(id, true) then return end
  end
end

local function take_due()
  if full or #items >= want or soonest < 0 or soonest > now then return end
  local due = call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, want - #items)
  for _, id in ipairs(due) do
    if full then return end
    local cancelled = any_cancel and call('SISMEMBER', cancel, id) == 1
    if not take_delayed(id, cancelled) then full = true end
  end
end

-- new_id: a ULID for the payload at place i. The queue's own count of claims is in it, so that no two claims
-- share one, whatever stems workers make, and a call repeated too late spoils nothing.
local byte, find, match, sub = string.byte, string.find, string.match, string.sub
local DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
local function digit(n) return sub(DIGITS, n + 1, n + 1) end
local head
local function make_head()
  local n, middle = tonumber(try('INCR', stem .. 'claims')) or time[1] * 1000000 + time[2], ''
  for _ = 1, 9 do
    middle = digit(n % 32) .. middle
    n = floor(n / 32)
  end
  return sub(ARGV[5], 1, 10) .. middle .. sub(ARGV[5], 11, 15)
end
local function new_id(i)
  head = head or make_head()
  return head .. digit(floor((i - 1) / 32)) .. digit((i - 1) % 32)
end

-- What `admit` weighs is said in these words (the ends of three: pushed_at, run_at, expires_at). They stand in the payload
-- as they are, unless an escape spells a letter of one.
local WORDS = {'"id"', '"run"', '_at"', '"delay_ms"', '"ttl_ms"', '\\u00'}

-- own_id: the id that stands first in a payload of which there is nothing else to weigh, a new one where it has none.
-- Nil where `admit` must look. What comes after the id may be no JSON: the worker will see.
local function own_id(payload, i)
  if any_cancel or #payload > LARGE or byte(payload) ~= 123 or byte(payload, -1) ~= 125 then return nil end -- { }
  local id, from = match(payload, '^{%s*"id"%s*:%s*"([%w._:-]+)"()')
  for w = 1, 6 do
    if find(payload, WORDS[w], from or 1, true) then return nil end
  end
  if id and #id > 128 then return nil end
  return id or new_id(i)
end

-- own_ids: the ids of the first payloads, as far as these are jobs at once. Of those behind one that must be read none
-- is: it may be of the same id, and jobs start in the order of their pushes.
local function own_ids(payloads)
  local own, keys, met = {}, {}, {}
  for i = 1, #payloads do
    local id = own_id(payloads[i], i)
    if not id or met[id] then break end
    own[i], met[id] = id, true
    keys[#keys + 1] = stem_job .. id
    keys[#keys + 1] = stem_result .. id
  end
  if #keys == 0 or call('EXISTS', unpack(keys)) == 0 then return own end
  local free = {}
  for i = 1, #own do
    if call('EXISTS', stem_job .. own[i], stem_result .. own[i]) > 0 then break end
    free[i] = own[i]
  end
  return free
end

-- lease_payloads: the items of those that have just been popped, which are the last, get their ids.
local created = text(now)
local function lease_payloads(payloads)
  local own, before, admitted = own_ids(payloads), #items - #payloads, 0
  for i = 1, #payloads do
    local id = own[i]
    if id then admitted = admitted + 1 else id = '~' .. new_id(i) end
    items[before + i][1] = id
    ids[#ids + 1] = id
    call('HSET', stem_job .. id, 'payload', payloads[i], 'state', 'active', 'token', token, 'worker', worker,
         'created', created)
  end
  count('admitted', admitted)
end

-- take_waiting: the size of a list's element is known only once it is popped, so the largest of
-- this batch stands for the next; one that is too much all the same is put back.
local function take_waiting()
  local most = math.min(want - #items, waiting)
  local largest, payloads = 0, {}
  for i = 1, full and 0 or most do
    local payload = call('RPOP', jobs)
    local len = #payload
    if #items > 0 and bytes + len > BATCH then
      call('RPUSH', jobs, payload)
      break
    end
    waiting = waiting - 1
    payloads[i] = payload
    add(len <= LARGE and {'', payload} or {'', false, len}, len)
    if len > largest then largest = len end
    if full or bytes + largest > ENOUGH then break end
  end
  lease_payloads(payloads)
end

local function answer(why)
  local out = {now, soonest, waiting, why}
  for i = 1, #items do out[4 + i] = items[i] end
  return out
end

local function repeated(taken)
  call('PEXPIRE', op, ARGV[3])
  for id in string.gmatch(taken, '%S+') do
    local key = stem_job .. id
    if call('HGET', key, 'token') == token and call('ZSCORE', active, id) then
      local len = call('HSTRLEN', key, 'payload')
      call('ZADD', active, ends, id)
      if string.sub(id, 1, 1) == '~' then
        local f = call('HMGET', key, 'created', len <= LARGE and 'payload' or 'none')
        items[#items + 1] = {id, f[2], len, f[1]}
      else
        items[#items + 1] = describe(id, key, len, call('SISMEMBER', cancel, id) == 1)
      end
    end
  end
  return answer('')
end

leases = call('ZCARD', active) -- of another type than ours? Then it fails before anything has moved.
call('ZCARD', dead)
soonest, waiting = next_due(), call('LLEN', jobs)
local known = call('MGET', op, stem .. 'version', stem .. 'paused')
local taken, version, paused = known[1], known[2], known[3]
if taken then return repeated(taken) end
if is_newer(version) then return answer('version') end
if not version then call('SET', stem .. 'version', '1', 'NX') end
take_cancelled()
leave_delayed()
if not paused and want > 0 then
  take_due()
  leave_delayed()
  take_waiting()
end
lease_all()
write_counts()
return answer(paused and 'paused' or '')
