#!lua flags=allow-oom
-- with: lib, end_lib, hold_lib
--[[ tick: once a second from each worker: recover, cancel, and say how things stand.

  ARGV[1] recover until   take back leases that ran out, if it is not later than this (Redis time, ms): a call
                          that lay in a socket while Redis was away would run before the holders' renewals.
                          0 = not now (Redis was away lately)
  ARGV[2] max recoveries  of a payload that kills workers before it is admitted; 0 = no limit
  ARGV[3] ttl             ms of a result
  ARGV[4] cancelled ttl   ms of the result of a job that was cancelled before it came
  ARGV[5] the result of a payload that killed its workers, after the id
  ARGV[6] the result of a job cancelled before it came, after the id
  ARGV[7] max dead        so many dead jobs are kept, the oldest go; 0 or absent = no limit

  Returns {now, next due or -1, waiting, delayed, active, dead, paused 0/1 (2 = the queue is of
  a newer version), recovered, buried,
  what is to be cancelled besides (1 = delayed jobs, 2 = more, and this call got on with it), id...}: the ids
  in flight that are to be cancelled.
  Keeps:  a recovered job is due now; a recovered payload is next in `jobs`, where it came from, and
          of several the one that was taken first is next.
          A job that has lost its place in active, delayed or dead (keys deleted by hand, or half a
          data set restored) gets it back: the sweep looks at one page of keys a second.
  Bounds: 100 leases, 100 cancels, 100 dead jobs, 1 MiB of payload beyond the first, 250 reply lists, a page of about 100 keys.
  Repeat: what ran out and was to be cancelled has been dealt with; it goes on with the rest.
]]
local max_deaths = tonumber(ARGV[2])
local recovered, buried = 0, 0

-- digest: what a payload is known by before it has an id: itself, or its length and sixteen pieces.
local function digest(payload)
  local len = #payload
  if len <= LARGE then return redis.sha1hex(payload) end
  local parts, step = {tostring(len)}, floor((len - 1024) / 15)
  for i = 0, 15 do parts[#parts + 1] = string.sub(payload, i * step + 1, i * step + 1024) end
  return redis.sha1hex(table.concat(parts))
end

-- deaths: how many workers died with these bytes in hand. The same bytes may wait many times, so of
-- one claim they count once. A day later it is forgotten.
local function deaths(key, token)
  local n, last = string.match(call('GET', key) or '', '^(%d+) (.*)$')
  n = tonumber(n or '0')
  if last ~= token then n = n + 1 end
  call('SET', key, n .. ' ' .. token, 'PX', 86400000)
  return n
end

local function bury_payload(claim, key)
  local id = string.sub(claim, 2)
  call('RENAME', key, stem_job .. id)
  call('HSET', stem_job .. id, 'state', 'dead', 'attempts', '0', 'throttles', '0',
       'recoveries', max_deaths, 'died', text(now),
       'cause', 'crash', 'raw', '1', 'last_error', 'workers died while they read this payload')
  call('HDEL', stem_job .. id, 'token', 'worker')
  call('ZADD', dead, text(now), id)
  call('SET', stem_result .. id, '{"id":"' .. id .. '"' .. ARGV[5], 'PX', ARGV[3])
  count('failed')
  tell(id, 'failed', '')
  buried = buried + 1
end

local function recover_payload(claim, key)
  local f = call('HMGET', key, 'payload', 'token')
  local payload, token = f[1], f[2] or ''
  count('recoveries')
  mark(claim, 'lost')
  local name = max_deaths > 0 and stem .. 'deaths:' .. digest(payload)
  if name and deaths(name, token) >= max_deaths then
    call('DEL', name)
    bury_payload(claim, key)
  else
    call('RPUSH', jobs, payload)
    call('DEL', key)
  end
end

local due = {}
local function recover_job(id, key)
  count('recoveries')
  call('HINCRBY', key, 'recoveries', 1)
  call('HSETNX', key, 'attempts', '0')
  call('HSETNX', key, 'throttles', '0')
  local at = due_now(id, key)
  call('HSET', key, 'state', 'delayed', 'due', at)
  call('HDEL', key, 'token', 'worker')
  due[#due + 1] = at
  due[#due + 1] = id
end

-- recover: the latest first, for each payload goes to the front of the others.
local function recover()
  local freed, bytes = {}, nil
  for _, id in ipairs(call('ZREVRANGEBYSCORE', active, '(' .. text(now), '-inf', 'LIMIT', 0, 100)) do
    local key = stem_job .. id
    if call('HEXISTS', key, 'payload') == 0 then
      forget(id)
    elseif string.sub(id, 1, 1) ~= '~' then
      recover_job(id, key)
    else
      local len = call('HSTRLEN', key, 'payload')
      if bytes and bytes + len > BATCH then break end
      bytes = (bytes or -len) + len
      recover_payload(id, key)
    end
    freed[#freed + 1] = id
  end
  if #due > 0 then call('ZADD', delayed, unpack(due)) end
  if #freed > 0 then call('ZREM', active, unpack(freed)) end
  recovered = #freed
end

local running, pending, answered = {}, 0, 0
local function cancel_one(id)
  if call('ZSCORE', active, id) then
    running[#running + 1] = id
  elseif call('ZSCORE', delayed, id) then
    pending = 1
  else
    local valid = #id <= 128 and string.match(id, '^[A-Za-z0-9._:-]+$')
    local fresh = valid and call('EXISTS', stem_result .. id) == 0
      and (call('EXISTS', stem_job .. id) == 0 or call('ZSCORE', dead, id))
    if fresh then
      call('SET', stem_result .. id, '{"id":"' .. id .. '"' .. ARGV[6], 'PX', ARGV[4])
      count('cancelled')
      tell(id, 'cancelled', '')
    end
    answered = answered + call('SREM', cancel, id)
  end
end

-- pay: one job's result goes to more of the lists that its duplicates named.
local function pay()
  local id = call('SRANDMEMBER', owed)
  if not id then return end
  local result = call('GET', stem_result .. id)
  if result then
    push_replies(id, result, ARGV[3], '')
  else
    call('SREM', owed, id)
    if call('EXISTS', stem_job .. id) == 1 then -- someone deleted the result, and it runs again
      call('SADD', waited, id)
    else
      call('DEL', stem .. 'replies:' .. id)
    end
  end
end

-- put_back: the place that the state of a job names; a lease of 30 s, for its holder may live.
local PLACES = {active = active, delayed = delayed, dead = dead}
local function put_back(id)
  local f = try('HMGET', stem_job .. id, 'state', 'due', 'died') -- a stranger's key is left alone
  local place = PLACES[f[1] or '']
  if not place or call('ZSCORE', place, id) then return end
  local at = f[1] == 'active' and now + 30000 or tonumber(f[1] == 'dead' and f[3] or f[2]) or now
  call('ZADD', place, text(at), id)
  count('orphans')
end

-- sweep: the other direction of recovery, for all workers together: one page a second.
local function sweep()
  local at = stem .. 'op:sweep'
  if not call('SET', at .. ':at', '1', 'PX', 1000, 'NX') then return end
  local page = try('SCAN', call('GET', at) or '0', 'MATCH', stem_job .. '*', 'COUNT', 100)
  if page.err then return end -- this user may not SCAN
  call('SET', at, page[1], 'PX', 3600000)
  for _, key in ipairs(page[2]) do put_back(string.sub(key, #stem_job + 1)) end
end

-- cap_dead: the oldest dead jobs go. Their results stay until they expire.
local function cap_dead(most)
  local over = most > 0 and call('ZCARD', dead) - most or 0
  if over <= 0 then return end
  local oldest = call('ZRANGE', dead, 0, math.min(over, 100) - 1)
  drop_dead(oldest)
  count('dead_capped', #oldest)
end

local function work()
  check_sets()
  if now <= tonumber(ARGV[1]) then recover() end
  sweep()
  cap_dead(tonumber(ARGV[7] or '0'))
  local cancels = call('SCARD', cancel)
  if cancels > 0 then
    for _, id in ipairs(call('SRANDMEMBER', cancel, 100)) do cancel_one(id) end
  end
  pay()
  write_counts()
  return cancels
end

local newer = is_newer()
local cancels = newer and 0 or work()
local out = {now, next_due(), call('LLEN', jobs), call('ZCARD', delayed), call('ZCARD', active),
             call('ZCARD', dead), newer and 2 or call('EXISTS', stem .. 'paused'), recovered, buried,
             pending + (cancels > 100 and answered > 0 and 2 or 0)}
for i = 1, #running do out[10 + i] = running[i] end
return out
