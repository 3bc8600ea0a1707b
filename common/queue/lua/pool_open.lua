#!lua flags=allow-oom
-- with: pool_lib
--[[ pool_open: calls may start again: a trying call succeeded, or an operator says so.

  ARGV[1] only trouble  1 = open it only if the account's trouble had shut it; else a budget that
                        had shut it is lifted for the rest of the day
  ARGV[2] retry         1 = the trying call did not happen: another may try at once

  Returns {now, 1 if it was shut}.
  Repeat: it is open; a trying call that has begun meanwhile goes on.
]]
local open_at, cause, step, probing = state()
if ARGV[2] == '1' then
  if step > 0 and probing then call('HSET', pool, 'open_at', now, 'probing', 0) end
  return {now, 0}
end
if cause == '' or (ARGV[1] == '1' and step == 0) then return {now, 0} end
if cause == 'budget' then call('HSET', pool, 'budget_lifted', 1) end
call('HSET', pool, 'open_at', 0, 'cause', '', 'why', '', 'step', 0, 'probing', 0)
keep(0)
return {now, (open_at > now or step > 0) and 1 or 0}
