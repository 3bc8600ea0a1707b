#!lua flags=allow-oom
-- with: lib, end_lib, hold_lib
--[[ settle: what became of leased jobs.

  ARGV[1] ttl  ms that a result and a reply list live
  then for each job seven, and more by its verb:
    1 id              2 token
    3 verb            done: it has a result. bury: it has a result and goes to dead.
                      later: it comes back
    4 value           done, bury: the result. later: ms from now until it is due
    5 why             done, bury: the result's status. later: throttle, retry, parked, handed_back
    6 reply_to        7 run
    done, bury:  8 input tokens   9 output tokens   10 cost in USD
    bury:        11 cause of death
                 12 attempts, 13 throttles: the totals after this call   14 last_status   15 last_error
    later:       8 attempts   9 throttles   10 last_status   11 last_error ('' = leave both as they are)
                 12 started, when the latest call began, 0 = none

  Returns {now, word...}: ok; already: it has a result; lost: the lease is another's, nothing done.
  Keeps:   a job has one result. Only the holder of the token moves a job, with one exception: a
           good answer has been paid for, so it is taken from anyone while no one has finished.
  Repeat:  done again is `already`, later again is `lost`; neither changes anything.
]]
local ttl = ARGV[1]
local out, freed, waits = {now}, {}, {}
local gone, finished = {}, {} -- keys of jobs that are over; ids that this call has given a result

local rare = call('EXISTS', waited, cancel, stem .. 'tail') > 0 -- mostly none of them is there
local any_waited = rare and call('SCARD', waited) > 0
if not rare then tailed = false end

local function bury(at, id, key)
  call('HSET', key, 'state', 'dead', 'attempts', ARGV[at + 11], 'throttles', ARGV[at + 12],
       'last_status', ARGV[at + 13], 'last_error', ARGV[at + 14], 'cause', ARGV[at + 10],
       'died', text(now))
  call('HDEL', key, 'token', 'worker', 'due')
  call('ZADD', dead, text(now), id)
end

local function finish(at, id, key)
  local result, status, reply, run = ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
  call('PSETEX', stem_result .. id, ttl, result)
  if reply ~= '' then push_reply(reply, result, ttl) end
  if any_waited and call('SREM', waited, id) == 1 then push_replies(id, result, ttl, reply) end
  freed[#freed + 1] = id
  if ARGV[at + 2] == 'bury' then bury(at, id, key) else gone[#gone + 1] = key end
  finished[id] = true
  if is_held(run) then call('SREM', held_ids .. run, id) end
  count(status, 1, run)
  count('input_tokens', ARGV[at + 7], run)
  count('output_tokens', ARGV[at + 8], run)
  count('cost_usd', ARGV[at + 9], run)
  tell(id, status, run)
  return 'ok'
end

local function done(at, id, key)
  if finished[id] then return 'already' end
  if call('HGET', key, 'token') == ARGV[at + 1] then return finish(at, id, key) end
  if call('EXISTS', stem_result .. id) == 1 or call('HGET', key, 'state') == 'dead' then
    return 'already'
  end
  if ARGV[at + 4] ~= 'succeeded' then return 'lost' end
  call('ZREM', delayed, id)
  waits[id] = nil
  count('late_answers')
  return finish(at, id, key)
end

local WHY = {throttle = 'throttles', retry = 'retries', parked = 'parked',
             handed_back = 'handed_back'}
local function later(at, id, key)
  if finished[id] or call('HGET', key, 'token') ~= ARGV[at + 1] then return 'lost' end
  local due = text(now + tonumber(ARGV[at + 3]))
  local fields = {'state', 'delayed', 'due', due, 'attempts', ARGV[at + 7], 'throttles', ARGV[at + 8],
                  'waits_for', ARGV[at + 4], 'started', ARGV[at + 11]}
  if ARGV[at + 10] ~= '' then
    local n = #fields
    fields[n + 1], fields[n + 2], fields[n + 3], fields[n + 4] = 'last_status', ARGV[at + 9], 'last_error', ARGV[at + 10]
  end
  call('HSET', key, unpack(fields))
  call('HDEL', key, 'token', 'worker')
  if is_held(ARGV[at + 6]) then
    due = hold(id, ARGV[at + 6], key, due)
    call('HSET', key, 'due', due)
  end
  waits[id] = due
  freed[#freed + 1] = id
  count(WHY[ARGV[at + 4]] or 'retries', 1, ARGV[at + 6])
  return 'ok'
end

local FIELDS = {done = 10, bury = 15, later = 12}

check_sets()
local at = 2
while ARGV[at] do
  local id, verb = ARGV[at], ARGV[at + 2]
  local move = verb == 'later' and later or done
  out[#out + 1] = move(at, id, stem_job .. id)
  at = at + FIELDS[verb]
end
if #gone > 0 then call('DEL', unpack(gone)) end
if #freed > 0 then call('ZREM', active, unpack(freed)) end
local due = {}
for id, at in pairs(waits) do
  due[#due + 1] = at
  due[#due + 1] = id
end
if #due > 0 then call('ZADD', delayed, unpack(due)) end
if rare and next(finished) and call('SCARD', cancel) > 0 then
  local ended = {}
  for id in pairs(finished) do ended[#ended + 1] = id end
  call('SREM', cancel, unpack(ended))
end
write_counts()
return out
