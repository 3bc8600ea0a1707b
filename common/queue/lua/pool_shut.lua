#!lua flags=allow-oom
-- with: pool_lib
--[[ pool_shut: no call to this pool starts for a while, in the whole fleet.

  ARGV[1] cause
  ARGV[2] wait      ms from now; -1 = none was named (paused, budget: until someone opens it)
  ARGV[3] trouble   1 = the account's trouble: one call tries again at that time, or after a step
                    of 60 s that doubles up to 15 min with each try that fails
  ARGV[4] why       in words

  Returns {now, open_at, 1 if this call changed it from open to shut or gave it another cause}.
  Keeps:  open_at never moves back while it lies ahead: the latest time named by any answer rules.
          Only a trying call that failed may set it anew, for `hold` was a guess.
  Repeat: answers to calls that were under way when the pool shut do not lengthen the step. While a
          trying call is under way, the first that fails counts as that one.
]]
local open_at, cause, step, probing = state()
local FOR_GOOD = 315360000000 -- ten years
local function decided(by) return by == 'paused' or by == 'budget' end
local wait, trouble = tonumber(ARGV[2]), ARGV[3] == '1'
local shut = open_at > now
local held, in_trouble = shut and decided(cause), step > 0
if decided(ARGV[1]) and wait < 0 then wait = FOR_GOOD end

local function shut_for(ms, next_step)
  local at = now + ms
  if not probing then at = math.max(at, open_at) end
  local changed = not (shut or in_trouble) or cause ~= ARGV[1]
  call('HSET', pool, 'open_at', at, 'cause', ARGV[1], 'why', ARGV[4], 'step', next_step, 'probing', 0)
  if changed then call('HSET', pool, 'since', now) end
  call('HINCRBY', pool, 'shut_' .. ARGV[1], 1)
  keep(at)
  return {now, at, changed and 1 or 0}
end

-- shut_on: another cause stands over this one, which only says that it takes longer.
local function shut_on()
  local at = math.max(open_at, now + math.max(wait, 0))
  call('HSET', pool, 'open_at', at)
  call('HINCRBY', pool, 'shut_' .. ARGV[1], 1)
  keep(at)
  return {now, at, 0}
end

if decided(ARGV[1]) then
  if held and now + wait <= open_at then return {now, open_at, 0} end
  return shut_for(wait, 0)
end
if trouble then
  if held or (in_trouble and shut and not probing) then return {now, open_at, 0} end
  if probing then step = math.min(step * 2, 900000) end
  if step == 0 then step = 60000 end
  return shut_for(wait >= 0 and wait or step, step)
end
if held or in_trouble then return shut_on() end
if shut and cause ~= ARGV[1] and now + wait <= open_at then return shut_on() end
return shut_for(math.max(wait, 0), 0)
