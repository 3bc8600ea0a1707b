--[[ lib: what every script of a queue needs. Before a script go, at build, the libraries that its line `-- with:`
  names. They are several, since a function costs each call some 1,500 instructions, needed or not.

  KEYS[1] is the queue's stem, `penstock:{Q}:`. Every other key is the stem and a name, so all of
  them carry the queue's hash tag and lie in one Cluster slot; that is why deriving them here is
  lawful. Time is the Redis server's own, in milliseconds: workers' clocks decide nothing.

  A call costs about a microsecond and a number as its argument half of one more (Redis prints it
  with 17 digits), so scripts ask for many things at once and hand over numbers as text. Globals are
  looked up by name each time, so what is used for each job is local.
]]
local ARGV, tonumber, format, floor = ARGV, tonumber, string.format, math.floor
local stem = KEYS[1]
local stem_job, stem_result = stem .. 'job:', stem .. 'result:'
local jobs, delayed, active = stem .. 'jobs', stem .. 'delayed', stem .. 'active'
local dead, cancel, stats = stem .. 'dead', stem .. 'cancel', stem .. 'stats'
local call, try = redis.call, redis.pcall
local time = call('TIME')
local now = time[1] * 1000 + floor(time[2] / 1000)

local LARGE = 16384     -- a payload or result above this many bytes shares no batch
local BATCH = 1048576   -- bytes a call may move beyond its first job
local RUN_KEPT = 2592000000 -- 30 days, in ms

-- check_sets: what someone has made of another type than ours is found out here, before anything has
-- moved: the call fails whole, and is sent again.
local function check_sets()
  call('ZCARD', active)
  call('ZCARD', delayed)
  call('ZCARD', dead)
end

-- is_newer: the queue belongs to a newer version of Penstock, and is left alone.
local function is_newer(version)
  if version == nil then version = call('GET', stem .. 'version') end
  return version and tonumber(version) ~= 1
end

local NEWER = {err = 'ERR this queue belongs to a newer version of Penstock'}

local function text(n) return format('%.0f', n) end

-- Counters are summed up during a call and written once at its end, the queue's and each run's.
local sums, runs = {}, {}
local function count(field, n, run)
  if n == '0' then return end
  if n == nil then n = 1 else n = tonumber(n) or 0 end
  if n == 0 then return end
  sums[field] = (sums[field] or 0) + n
  if run and run ~= '' then
    local of = runs[run]
    if not of then of = {}; runs[run] = of end
    of[field] = (of[field] or 0) + n
  end
end

-- dollars: billionths at most, and no zeros behind.
local function dollars(n) return (string.gsub(format('%.9f', n), '%.?0+$', '')) end

-- add_counts: a key that someone has made something else of must not stop the jobs, so it is left. False then.
local function add_counts(key, fields, ...)
  local names, extra, args = {}, {...}, {}
  for field in pairs(fields) do names[#names + 1] = field end
  if #names == 0 then return true end
  if #names == 1 and #extra == 0 and names[1] ~= 'cost_usd' then
    local sum = try('HINCRBY', key, names[1], text(fields[names[1]]))
    if type(sum) == 'number' then return true end
  end
  local had = try('HMGET', key, unpack(names))
  if had.err then return false end
  for i = 1, #names do
    local sum = (tonumber(had[i] or 0) or 0) + fields[names[i]]
    args[2 * i - 1] = names[i]
    args[2 * i] = names[i] == 'cost_usd' and dollars(sum) or text(sum)
  end
  for i = 1, #extra do args[#args + 1] = extra[i] end
  call('HSET', key, unpack(args))
  return true
end

local function write_counts()
  add_counts(stats, sums)
  for run, fields in pairs(runs) do
    local key = stem .. 'run:' .. run
    if add_counts(key, fields, 'updated', text(now)) then
      call('HSETNX', key, 'created', text(now))
      call('PEXPIRE', key, RUN_KEPT)
    end
  end
end

-- next_due: when the earliest delayed job is due, or -1.
local function next_due()
  local first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  return first[2] and tonumber(first[2]) or -1
end

-- forget: the job's hash was evicted or deleted by hand: no one can run it, or wait for it.
local function forget(id)
  call('DEL', stem_job .. id, stem .. 'replies:' .. id)
  call('SREM', stem .. 'waited', id)
  count('vanished')
end
