#!lua flags=allow-oom
--[[ settle: what became of leased jobs.

  ARGV[1] ttl  ms that a result and a reply list live
  then sixteen for each job:
    1 id              2 token
    3 verb            done: it has a result. bury: it has a result and goes to dead.
                      later: it comes back
    4 value           done, bury: the result. later: ms from now until it is due
    5 why             done, bury: the result's status. later: throttle, retry, parked, handed_back
    6 attempts        7 throttles: the totals after this call
    8 last_status     9 last_error ('' = leave as it is)
    10 reply_to       11 run
    12 input tokens   13 output tokens   14 cost in USD   15 cause of death (bury)
    16 started         when the latest call began, 0 = none

  Returns {now, word...}: ok; already: it has a result; lost: the lease is another's, nothing done.
  Keeps:   a job has one result. Only the holder of the token moves a job, with one exception: a
           good answer has been paid for, so it is taken from anyone while no one has finished.
  Repeat:  done again is `already`, later again is `lost`; neither changes anything.
]]
local ttl = ARGV[1]
local out, freed, waits, ended = {now}, {}, {}, {}
local gone, finished = {}, {} -- keys of jobs that are over; ids that this call has given a result

local any_waited = call('SCARD', waited) > 0

local function finish(at, id, key)
  local result, status, run = ARGV[at + 3], ARGV[at + 4], ARGV[at + 10]
  call('PSETEX', stem_result .. id, ttl, result)
  local reply = ARGV[at + 9]
  if reply ~= '' then push_reply(reply, result, ttl) end
  if any_waited and call('SREM', waited, id) == 1 then push_replies(id, result, ttl, reply) end
  freed[#freed + 1] = id
  ended[#ended + 1] = id
  if ARGV[at + 2] == 'bury' then
    call('HSET', key, 'state', 'dead', 'attempts', ARGV[at + 5], 'throttles', ARGV[at + 6],
         'last_status', ARGV[at + 7], 'last_error', ARGV[at + 8], 'cause', ARGV[at + 14],
         'died', text(now))
    call('HDEL', key, 'token', 'worker', 'due')
    call('ZADD', dead, text(now), id)
  else
    gone[#gone + 1] = key
  end
  finished[id] = true
  if is_held(run) then call('SREM', held_ids .. run, id) end
  count(status, 1, run)
  tell(id, status, run)
  count('input_tokens', ARGV[at + 11], run)
  count('output_tokens', ARGV[at + 12], run)
  count('cost_usd', ARGV[at + 13], run)
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
  local fields = {'state', 'delayed', 'due', due, 'attempts', ARGV[at + 5], 'throttles', ARGV[at + 6],
                  'waits_for', ARGV[at + 4], 'started', ARGV[at + 15]}
  if ARGV[at + 8] ~= '' then
    local n = #fields
    fields[n + 1], fields[n + 2], fields[n + 3], fields[n + 4] = 'last_status', ARGV[at + 7], 'last_error', ARGV[at + 8]
  end
  call('HSET', key, unpack(fields))
  call('HDEL', key, 'token', 'worker')
  if is_held(ARGV[at + 10]) then
    due = hold(id, ARGV[at + 10], key, due)
    call('HSET', key, 'due', due)
  end
  waits[id] = due
  freed[#freed + 1] = id
  count(WHY[ARGV[at + 4]] or 'retries', 1, ARGV[at + 10])
  return 'ok'
end

check_sets()
for at = 2, #ARGV, 16 do
  local id = ARGV[at]
  local move = ARGV[at + 2] == 'later' and later or done
  out[#out + 1] = move(at, id, stem_job .. id)
end
if #gone > 0 then call('DEL', unpack(gone)) end
if #freed > 0 then call('ZREM', active, unpack(freed)) end
local due = {}
for id, at in pairs(waits) do
  due[#due + 1] = at
  due[#due + 1] = id
end
if #due > 0 then call('ZADD', delayed, unpack(due)) end
if #ended > 0 and call('SCARD', cancel) > 0 then call('SREM', cancel, unpack(ended)) end
write_counts()
return out
