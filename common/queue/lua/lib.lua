--[[ lib: what every script of a queue begins with (put in front of each at build).

  KEYS[1] is the queue's stem, `penstock:{Q}:`. Every other key is the stem and a name, so all of
  them carry the queue's hash tag and lie in one Cluster slot; that is why deriving them here is
  lawful. Time is the Redis server's own, in milliseconds: workers' clocks decide nothing.
]]
local stem = KEYS[1]
local jobs, delayed, active = stem .. 'jobs', stem .. 'delayed', stem .. 'active'
local dead, cancel, stats = stem .. 'dead', stem .. 'cancel', stem .. 'stats'
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local LARGE = 16384     -- a payload or result above this many bytes shares no batch
local BATCH = 1048576   -- bytes a call may move beyond its first job
local RUN_KEPT = 2592000000 -- 30 days, in ms

local function job_key(id) return stem .. 'job:' .. id end
local function result_key(id) return stem .. 'result:' .. id end

-- Counters are summed up during a call and written once at its end, the queue's and each run's.
local sums, runs = {}, {}
local function count(field, n, run)
  n = tonumber(n) or 1
  if n == 0 then return end
  sums[field] = (sums[field] or 0) + n
  if run and run ~= '' then
    local of = runs[run]
    if not of then of = {}; runs[run] = of end
    of[field] = (of[field] or 0) + n
  end
end

local function add_counts(key, fields)
  for field, n in pairs(fields) do
    if field == 'cost_usd' then
      call('HINCRBYFLOAT', key, field, string.format('%.9f', n))
    else
      call('HINCRBY', key, field, string.format('%.0f', n))
    end
  end
end

local function write_counts()
  add_counts(stats, sums)
  for run, fields in pairs(runs) do
    local key = stem .. 'run:' .. run
    add_counts(key, fields)
    call('HSETNX', key, 'created', now)
    call('HSET', key, 'updated', now)
    call('PEXPIRE', key, RUN_KEPT)
  end
end

-- next_due: when the earliest delayed job is due, or -1.
local function next_due()
  local first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  return first[2] and tonumber(first[2]) or -1
end

-- push_replies: the result goes to each list named in `names` (blank-separated), each once.
local function push_replies(names, result, ttl)
  local seen = {}
  for name in string.gmatch(names, '%S+') do
    if not seen[name] then
      seen[name] = true
      local key = stem .. 'reply:' .. name
      call('RPUSH', key, result)
      call('PEXPIRE', key, ttl)
    end
  end
end
