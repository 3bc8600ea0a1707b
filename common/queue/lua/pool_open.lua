--[[ pool_open: calls may start again: a trying call succeeded, or an operator says so.

  ARGV[1] only trouble  1 = open it only if the account's trouble had shut it
  ARGV[2] retry         1 = the trying call did not happen: another may try at once

  Returns {now, 1 if it was shut}.
]]
local open_at, cause, step = state()
if ARGV[2] == '1' then
  if step > 0 then call('HSET', pool, 'open_at', now, 'probing', 0) end
  return {now, 0}
end
if cause == '' or (ARGV[1] == '1' and step == 0) then return {now, 0} end
call('HSET', pool, 'open_at', 0, 'cause', '', 'why', '', 'step', 0, 'probing', 0)
call('PEXPIRE', pool, POOL_KEPT)
return {now, 1}
