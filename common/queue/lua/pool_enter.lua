#!lua flags=allow-oom
--[[ pool_enter: may calls to this pool start now?

  ARGV[1] hold   ms that a single trying call may take before another worker may try
  ARGV[2] eager  1 = this worker has just started or got another key: try at once

  Returns {now, ms until it opens (0 = open), cause, how many may start (-1 = any number), why}.
  Of a pool shut by the account's trouble, one call in the whole fleet gets in at its time.
  Repeat: if the answer that let the trying call in was lost, so is that call: another gets in after
          `hold`.
]]
local open_at, cause, step, probing = state()
local trouble = step > 0
if open_at > now and not (trouble and ARGV[2] == '1' and not probing) then
  keep(open_at)
  return {now, open_at - now, cause, 0, call('HGET', pool, 'why') or ''}
end
if trouble then
  call('HSET', pool, 'open_at', now + ARGV[1], 'probing', 1)
  keep(now + ARGV[1])
  return {now, 0, cause, 1, call('HGET', pool, 'why') or ''}
end
if cause ~= '' then call('HSET', pool, 'open_at', 0, 'cause', '', 'why', '') end
keep(0)
return {now, 0, '', -1, ''}
