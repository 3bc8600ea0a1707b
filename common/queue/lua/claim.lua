--[[ claim: take up to ARGV[3] jobs and lease them to one worker.

  ARGV[1] token   names this claim; every later move of its jobs must show it (fencing)
  ARGV[2] worker  who takes the lease
  ARGV[3] want    how many at most, 0-100; 0 takes cancelled delayed jobs only
  ARGV[4] lease   ms
  ARGV[5] id stem 23 characters: the claim ids are '~', this and three digits in base 32

  First delayed jobs that are to be cancelled, then what is due, then `jobs` from the right. A
  payload from `jobs` is not parsed here: it is leased under its claim id, and `admit` follows.

  Returns {now, next due or -1, LLEN jobs, why, item...}; why is '', 'paused' or 'version' (the
  queue belongs to a newer Penstock). An item is {claim id, payload, bytes} or
  {id, payload, bytes, attempts, throttles, recoveries, created, expires_at, cancelled}.
  The payload of a large job is false: HGET job:<id> payload brings it without crossing Lua again.
  Keeps:   a job is in one of jobs, delayed and active, never in two and never in none.
  Bounds:  100 jobs, and 1 MiB beyond the first. A large job ends its batch.
  Repeat:  the same token again answers with what it took and still holds.
]]
local token, worker, want, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local items, ids, bytes, full = {}, {}, 0, false
local op = stem .. 'op:' .. token

-- fits: may a job of that size join this batch?
local function fits(len)
  return #items == 0 or (len <= LARGE and bytes + len <= BATCH)
end

local function add(item, len)
  items[#items + 1] = item
  if #items > 1 then bytes = bytes + len end
  if len > LARGE or #items >= 100 then full = true end
end

local function lease_all()
  if #ids == 0 then return end
  local args = {}
  for i = 1, #ids do
    args[2 * i - 1] = now + lease
    args[2 * i] = ids[i]
  end
  call('ZADD', active, unpack(args))
  call('SET', op, table.concat(ids, ' '), 'PX', lease)
end

local function describe(id, len, cancelled)
  local key = job_key(id)
  local f = call('HMGET', key, 'attempts', 'throttles', 'recoveries', 'created', 'expires_at')
  local payload = len <= LARGE and call('HGET', key, 'payload')
  return {id, payload, len, f[1] or '0', f[2] or '0', f[3] or '0', f[4] or '0', f[5] or '-1',
          cancelled and 1 or 0}
end

-- take_delayed: lease one delayed job; false where it must wait for another batch.
local function take_delayed(id, cancelled)
  local key = job_key(id)
  local len = call('HSTRLEN', key, 'payload')
  if len == 0 then -- its hash was evicted or deleted by hand: there is nothing left to do
    call('ZREM', delayed, id)
    call('DEL', key)
    count('vanished')
    return true
  end
  if not fits(len) then return false end
  add(describe(id, len, cancelled), len)
  call('ZREM', delayed, id)
  call('HSET', key, 'state', 'active', 'token', token, 'worker', worker)
  call('HDEL', key, 'due')
  ids[#ids + 1] = id
  return true
end

local function take_cancelled()
  if call('SCARD', cancel) == 0 then return end
  for _, id in ipairs(call('SRANDMEMBER', cancel, 100)) do
    if full then return end
    if call('ZSCORE', delayed, id) and not take_delayed(id, true) then return end
  end
end

local function take_due()
  local due = call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, want)
  for _, id in ipairs(due) do
    if full or #items >= want then return end
    if not take_delayed(id, false) then full = true end
  end
end

local DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
local function claim_id(n)
  local hi, lo = math.floor(n / 32) % 32 + 1, n % 32 + 1
  return '~' .. ARGV[5] .. '0' .. string.sub(DIGITS, hi, hi) .. string.sub(DIGITS, lo, lo)
end

-- take_waiting: the size of a list's element is known only once it is popped, so the largest of
-- this batch stands for the next; one above 1 MiB that comes all the same is put back.
local function take_waiting()
  local largest = 0
  while not full and #items < want and (#items == 0 or bytes + largest <= BATCH) do
    local payload = call('RPOP', jobs)
    if not payload then return end
    local len = #payload
    if #items > 0 and len > BATCH then
      call('RPUSH', jobs, payload)
      return
    end
    local id = claim_id(#ids)
    call('HSET', job_key(id), 'payload', payload, 'state', 'claimed', 'token', token,
         'worker', worker)
    ids[#ids + 1] = id
    add({id, len <= LARGE and payload, len}, len)
    largest = math.max(largest, len)
  end
end

local function answer(why)
  local out = {now, next_due(), call('LLEN', jobs), why}
  for i = 1, #items do out[4 + i] = items[i] end
  return out
end

local function repeated(taken)
  for id in string.gmatch(taken, '%S+') do
    local key = job_key(id)
    if call('HGET', key, 'token') == token and call('ZSCORE', active, id) then
      local len = call('HSTRLEN', key, 'payload')
      if string.sub(id, 1, 1) == '~' then
        items[#items + 1] = {id, len <= LARGE and call('HGET', key, 'payload'), len}
      else
        items[#items + 1] = describe(id, len, call('SISMEMBER', cancel, id) == 1)
      end
    end
  end
  return answer('')
end

local taken = call('GET', op)
if taken then return repeated(taken) end
local version = call('GET', stem .. 'version')
if not version then
  call('SET', stem .. 'version', '1')
elseif tonumber(version) ~= 1 then
  return answer('version')
end
take_cancelled()
local paused = call('EXISTS', stem .. 'paused') == 1
if not paused and want > 0 then
  take_due()
  take_waiting()
end
lease_all()
write_counts()
return answer(paused and 'paused' or '')
