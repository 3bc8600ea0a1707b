--[[ hold_lib: for scripts that must know whether a job's run is paused.

  A paused run's name is in the set `held`. Its jobs start no call: they are delayed for as long as may
  be, their ids are in held:<run>, and the time they would have been due is in `held_due`.
]]
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
