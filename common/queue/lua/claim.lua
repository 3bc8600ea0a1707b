#!lua
--[[ claim: take up to `want` jobs and lease them to one worker.

  ARGV[1] token   names this claim; every later move of its jobs must show it (fencing)
  ARGV[2] worker  who takes the lease
  ARGV[3] lease   ms
  ARGV[4] want    how many at most, 0-100; 0 takes cancelled delayed jobs only
  ARGV[5] id stem its first ten characters (a ULID's time) begin the claim ids: '~' and a ULID
  ARGV[6] payload that the worker has seen at the right end of `jobs` and read, and ARGV[7] to [14] the
                  eight of admit_lib: if it is there still, it is admitted at once. May be left out.

  First delayed jobs that are to be cancelled, then what is due, then `jobs` from the right. Another
  payload from `jobs` is not parsed here: it is leased under its claim id, and `admit` follows.

  Returns {now, next due or -1, LLEN jobs, why, item...}; why is '', 'paused', 'version' (the
  queue belongs to a newer Penstock) or 'admitted' (the payload that was seen is a job now). An item
  is {claim id, payload, bytes, created} or {id, payload, bytes, attempts, throttles, recoveries, created, expires_at, cancelled, started}.
  A counter that its hash lacks is 0. Bytes and created are left out of a claim id's where the one is the
  payload's length and the other is now.
  The payload of a large job is false: HGET job:<id> payload brings it without crossing Lua again.
  Keeps:   a job is in one of jobs, delayed and active, never in two and never in none.
  Bounds:  100 jobs; 64 KiB beyond the first, or one more job that makes it 1 MiB at most. A large
           job ends its batch.
  Repeat:  the same token again answers with what it took and still holds. It is repeated without the
           payload, for a job without an id has been given one that is for a single use.
  Memory:  the one script that Redis refuses when it has none left, so that what is in flight can end.
]]
local ENOUGH = 65536 -- bytes after which no more is taken: twice as much is a millisecond
local want = math.min(tonumber(ARGV[4]), 100)
local items, ids, bytes, full = {}, {}, 0, false
local left = {} -- what is to leave delayed
local op = stem .. 'op:' .. token
local admitted = false -- the payload that the worker had seen?
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
local WIDE = string.rep('~', 65)

local function lease_all()
  if #ids == 0 then return end
  local args = {}
  for i = 1, #ids do
    args[2 * i - 1] = ends
    args[2 * i] = ids[i]
  end
  local many = leases + #ids
  local flat = many >= 16 and many <= 128
  if flat then call('ZADD', active, ends, WIDE) end
  call('ZADD', active, unpack(args))
  if flat then call('ZREM', active, WIDE) end
  call('SET', op, table.concat(ids, ' '), 'PX', lease)
end

local function describe(id, key, len, cancelled)
  local f = call('HMGET', key, 'attempts', 'throttles', 'recoveries', 'created', 'expires_at',
                 len <= LARGE and 'payload' or 'none', 'started')
  return {id, f[6], len, f[1] or '0', f[2] or '0', f[3] or '0', f[4] or '0', f[5] or '-1',
          cancelled and 1 or 0, f[7] or '0'}
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

-- name: the claim id of the payload at place i. Its middle is the queue's own count of claims, so that no
-- two claims share one, whatever stems workers make, and a call repeated too late spoils nothing.
local DIGITS, sub = '0123456789ABCDEFGHJKMNPQRSTVWXYZ', string.sub
local function digit(n) return sub(DIGITS, n + 1, n + 1) end
local head
local function make_head()
  local n, middle = tonumber(try('INCR', stem .. 'claims')) or time[1] * 1000000 + time[2], ''
  for _ = 1, 13 do
    middle = digit(n % 32) .. middle
    n = floor(n / 32)
  end
  return '~' .. sub(ARGV[5], 1, 10) .. middle .. '0'
end
local function name(i)
  head = head or make_head()
  return head .. digit(floor((i - 1) / 32)) .. digit((i - 1) % 32)
end

local created = text(now)
local function lease_payload(id, payload)
  call('HSET', stem_job .. id, 'payload', payload, 'state', 'active', 'token', token,
       'worker', worker, 'created', created)
end

-- admit_read: the payload that the worker has read already is admitted, and is an item if it may run.
-- False where its id is in use: then `admit` says what becomes of it.
local function admit_read(payload)
  local id = ARGV[7]
  if call('EXISTS', stem_job .. id, stem_result .. id) > 0 then return false end
  lease_payload(id, payload)
  admitted = true
  local code, at, expires_at = enter('', 7)
  if code == 'delayed' then
    soonest = next_due()
    return true
  end
  ids[#ids + 1] = id
  add({id, payload, #payload, '0', '0', '0', at > 0 and text(at) or created, text(expires_at),
       code == 'cancelled' and 1 or 0, '0'}, #payload)
  return true
end

-- take_waiting: the size of a list's element is known only once it is popped, so the largest of
-- this batch stands for the next; one that is too much all the same is put back.
local function take_waiting()
  local most = math.min(want - #items, waiting)
  if full or most <= 0 then return end
  local largest = 0
  for i = 1, most do
    local payload = call('RPOP', jobs)
    local len = #payload
    if #items > 0 and bytes + len > BATCH then
      call('RPUSH', jobs, payload)
      return
    end
    waiting = waiting - 1
    if i > 1 or payload ~= ARGV[6] or not admit_read(payload) then
      local id = name(i)
      lease_payload(id, payload)
      ids[#ids + 1] = id
      add(len <= LARGE and {id, payload} or {id, false, len}, len)
    end
    if full then return end
    if len > largest then largest = len end
    if bytes + largest > ENOUGH then return end
  end
end

local function answer(why)
  local out = {now, soonest, waiting, why}
  for i = 1, #items do out[4 + i] = items[i] end
  return out
end

local function repeated(taken)
  for id in string.gmatch(taken, '%S+') do
    local key = stem_job .. id
    if call('HGET', key, 'token') == token and call('ZSCORE', active, id) then
      local len = call('HSTRLEN', key, 'payload')
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
return answer(paused and 'paused' or admitted and 'admitted' or '')
