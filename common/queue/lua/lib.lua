--[[ lib: what every script of a queue begins with (put in front of each at build).

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
local waited, owed = stem .. 'waited', stem .. 'owed'
local call, try = redis.call, redis.pcall
local time = call('TIME')
local now = time[1] * 1000 + floor(time[2] / 1000)

local LARGE = 16384     -- a payload or result above this many bytes shares no batch
local BATCH = 1048576   -- bytes a call may move beyond its first job
local LISTS = 250       -- reply lists of duplicates that a call may serve
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

-- push_reply: the result goes to the list `name` ('' = none). A key of that name that is no list is
-- its maker's trouble, not that of the jobs in this batch.
local function push_reply(name, result, ttl)
  if name == '' then return end
  local key = stem .. 'reply:' .. name
  if type(try('RPUSH', key, result)) == 'number' then call('PEXPIRE', key, ttl) end
end

-- The lists that duplicates of an unfinished job have named are in the set replies:<id>, and the id is
-- in `waited`; where the job has ended and some are still without its result, it is in `owed`.
-- push_replies: the result goes to those lists (but not to `own` once more), to as many as this call may
-- still serve; tick goes on with the rest.
local lists_left, bytes_left = LISTS, BATCH
local function push_replies(id, result, ttl, own)
  local names = stem .. 'replies:' .. id
  local most = math.min(lists_left, floor(bytes_left / math.max(#result, 1)))
  if lists_left == LISTS then most = math.max(most, 1) end
  if own ~= '' then call('SREM', names, own) end
  local lists = most > 0 and call('SPOP', names, most) or {}
  for i = 1, #lists do push_reply(lists[i], result, ttl) end
  lists_left, bytes_left = lists_left - #lists, bytes_left - #lists * #result
  if call('EXISTS', names) == 1 then call('SADD', owed, id) else call('SREM', owed, id) end
end

-- tell: while someone follows the queue (`penstock tail` keeps the key `tail` alive), what ends is told
-- in the stream `ended`, the latest 10,000 of it.
local tailed
local function tell(id, status, run)
  if tailed == nil then tailed = call('EXISTS', stem .. 'tail') == 1 end
  if not tailed then return end
  call('XADD', stem .. 'ended', 'MAXLEN', '~', '10000', '*', 'id', id, 'status', status, 'run', run)
  call('PEXPIRE', stem .. 'ended', '60000')
end

-- A paused run's name is in the set `held`. Its jobs start no call: they are delayed for as long as may
-- be, their ids are in held:<run>, and the time they would have been due is in `held_due`.
local held, held_ids = stem .. 'held', stem .. 'held:'
local HELD_KEPT = 2592000000 -- 30 days, in ms
local any_held
local function is_held(run)
  if run == '' then return false end
  if any_held == nil then any_held = call('EXISTS', held) == 1 end
  return any_held and try('SISMEMBER', held, run) == 1
end

-- hold gives the time at which a held job is due; the caller puts it there.
local function hold(id, run, key, due)
  if type(try('SADD', held_ids .. run, id)) == 'number' then call('PEXPIRE', held_ids .. run, HELD_KEPT) end
  local waited_for = call('HGET', key, 'waits_for') or ''
  if waited_for ~= 'held' then call('HSET', key, 'held_for', waited_for) end
  call('HSET', key, 'waits_for', 'held', 'held_due', due)
  local expires = tonumber(call('HGET', key, 'expires_at') or '-1') or -1
  return text(expires >= 0 and math.min(expires, now + HELD_KEPT) or now + HELD_KEPT)
end

-- due_now: when a job is due that should go on at once, but for one of a paused run.
local function due_now(id, key)
  local run = call('HGET', key, 'run') or ''
  return is_held(run) and hold(id, run, key, text(now)) or text(now)
end

-- drop_dead throws dead jobs away; their results stay until they expire.
local function drop_dead(ids)
  local keys = {}
  for i, id in ipairs(ids) do
    keys[2 * i - 1] = stem_job .. id
    keys[2 * i] = stem .. 'replies:' .. id
  end
  if #ids == 0 then return end
  call('ZREM', dead, unpack(ids))
  call('SREM', waited, unpack(ids))
  call('DEL', unpack(keys))
end

-- forget: the job's hash was evicted or deleted by hand: no one can run it, or wait for it.
local function forget(id)
  call('DEL', stem_job .. id, stem .. 'replies:' .. id)
  call('SREM', waited, id)
  count('vanished')
end

-- mark: what became of a payload that is no longer under its claim id, for admit when it is repeated or
-- comes late. The id does not tell: two payloads of one claim may name the same, and one be held.
local MARK_KEPT = 300000 -- ms
local function mark(claim, code, ms)
  call('SET', stem .. 'op:' .. claim, code, 'PX', ms or MARK_KEPT)
  return code
end
