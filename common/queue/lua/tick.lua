#!lua flags=allow-oom
--[[ tick: once a second from each worker: recover, cancel, and say how things stand.

  ARGV[1] recover         1 = take back leases that ran out; 0 = not now (Redis was away lately)
  ARGV[2] max recoveries  of a payload that kills workers before it is admitted; 0 = no limit
  ARGV[3] ttl             ms of a result
  ARGV[4] cancelled ttl   ms of the result of a job that was cancelled before it came
  ARGV[5] the result of a payload that killed its workers, after the id
  ARGV[6] the result of a job cancelled before it came, after the id

  Returns {now, next due or -1, waiting, delayed, active, dead, paused 0/1, recovered, buried,
  delayed jobs to cancel 0/1, id...}: the ids in flight that are to be cancelled.
  Keeps:  a recovered job is due now; a recovered payload is next in `jobs`, where it came from.
  Bounds: 100 leases, 100 cancels, 1 MiB of payload beyond the first.
]]
local max_deaths = tonumber(ARGV[2])
local recovered, buried = 0, 0

-- deaths: how many workers died with these bytes in hand. They have no id yet, so their digest is
-- the name; a day later it is forgotten.
local function deaths(payload)
  local key = stem .. 'deaths'
  local n = call('HINCRBY', key, redis.sha1hex(payload), 1)
  call('PEXPIRE', key, 86400000)
  return n
end

local function bury_payload(claim, key)
  local id = string.sub(claim, 2)
  call('RENAME', key, job_key(id))
  call('HSET', job_key(id), 'state', 'dead', 'attempts', 0, 'throttles', 0, 'recoveries', max_deaths,
       'created', now, 'died', now, 'cause', 'crash', 'raw', 1,
       'last_error', 'workers died while they read this payload')
  call('HDEL', job_key(id), 'token', 'worker')
  call('ZADD', dead, now, id)
  call('SET', result_key(id), '{"id":"' .. id .. '"' .. ARGV[5], 'PX', ARGV[3])
  count('failed')
  buried = buried + 1
end

local function recover_payload(claim, key)
  local payload = call('HGET', key, 'payload')
  if not payload then
    call('DEL', key)
  elseif max_deaths > 0 and deaths(payload) >= max_deaths then
    bury_payload(claim, key)
  else
    call('RPUSH', jobs, payload)
    call('DEL', key)
  end
end

local function recover_job(id, key)
  if call('EXISTS', key) == 0 then
    count('vanished')
    return
  end
  call('HINCRBY', key, 'recoveries', 1)
  call('HSET', key, 'state', 'delayed', 'due', now)
  call('HDEL', key, 'token', 'worker')
  call('ZADD', delayed, now, id)
end

local function recover()
  local bytes, first = 0, true
  for _, id in ipairs(call('ZRANGEBYSCORE', active, '-inf', '(' .. now, 'LIMIT', 0, 100)) do
    local key = job_key(id)
    local claimed = string.sub(id, 1, 1) == '~'
    if claimed then
      local len = call('HSTRLEN', key, 'payload')
      if not first and bytes + len > BATCH then return end
      if not first then bytes = bytes + len end
      first = false
      recover_payload(id, key)
    else
      recover_job(id, key)
    end
    call('ZREM', active, id)
    recovered = recovered + 1
    count('recoveries')
  end
end

local running, pending = {}, 0
local function cancel_one(id)
  if call('ZSCORE', active, id) then
    running[#running + 1] = id
  elseif call('ZSCORE', delayed, id) then
    pending = 1
  else
    local fresh = #id <= 128 and string.match(id, '^[A-Za-z0-9._:-]+$')
      and call('EXISTS', job_key(id), result_key(id)) == 0
    if fresh then
      call('SET', result_key(id), '{"id":"' .. id .. '"' .. ARGV[6], 'PX', ARGV[4])
      count('cancelled')
    end
    call('SREM', cancel, id)
  end
end

if ARGV[1] == '1' then recover() end
if call('SCARD', cancel) > 0 then
  for _, id in ipairs(call('SRANDMEMBER', cancel, 100)) do cancel_one(id) end
end
write_counts()
local out = {now, next_due(), call('LLEN', jobs), call('ZCARD', delayed), call('ZCARD', active),
             call('ZCARD', dead), call('EXISTS', stem .. 'paused'), recovered, buried, pending}
for i = 1, #running do out[10 + i] = running[i] end
return out
