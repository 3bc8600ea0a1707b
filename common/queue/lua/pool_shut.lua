--[[ pool_shut: no call to this pool starts for a while, in the whole fleet.

  ARGV[1] cause
  ARGV[2] wait      ms from now; -1 = none was named
  ARGV[3] trouble   1 = the account's trouble: one call tries again at that time, or after a step
                    of 60 s that doubles up to 15 min with each try that fails
  ARGV[4] why       in words

  Returns {now, open_at, 1 if this call changed it from open to shut or gave it another cause}.
  Keeps:  open_at never moves back while it lies ahead: the latest time named by any answer rules.
  Repeat: answers to calls that were under way when the pool shut do not lengthen the step.
]]
local open_at, cause, step, probing = state()
local wait, trouble = tonumber(ARGV[2]), ARGV[3] == '1'
local shut = open_at > now
local changed = (not shut or cause ~= ARGV[1]) and 1 or 0

if trouble then
  if probing then
    step = math.min(math.max(step, 30000) * 2, 900000)
  elseif step > 0 and shut then
    return {now, open_at, 0}
  else
    step = 60000
  end
  open_at = now + (wait >= 0 and wait or step)
elseif step > 0 and shut then
  return {now, open_at, 0} -- the account's trouble outlasts any quota
else
  open_at = math.max(open_at, now + math.max(wait, 0))
end
call('HSET', pool, 'open_at', open_at, 'cause', ARGV[1], 'why', ARGV[4], 'step', trouble and step or 0,
     'probing', 0)
if changed == 1 then call('HSET', pool, 'since', now) end
call('HINCRBY', pool, 'shut_' .. ARGV[1], 1)
call('PEXPIRE', pool, POOL_KEPT)
return {now, open_at, changed}
