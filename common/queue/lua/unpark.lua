#!lua flags=allow-oom
-- with: lib
--[[ unpark: a pool opened sooner than was thought: jobs that waited for it are due now.

  ARGV    ids, at most 100, of jobs that were parked; or '+n': whoever parked them, of what is due within
          a quarter of an hour, the next 100 after the first n
  Returns {now, 1 or 0...}: was it still waiting for its pool? Of '+n': {now, the next n, or -1: no more}
  Keeps:  a job that waits for another reason (a throttle, a retry, its start time) is left alone.
]]
local SOON = 901000 -- a parked job is due within a quarter of an hour and its spread
local out = {now}

local function unpark(id)
  local key = stem_job .. id
  local due = call('ZSCORE', delayed, id)
  local waits = due and tonumber(due) > now and call('HGET', key, 'waits_for') == 'parked'
  if waits then
    call('HSET', key, 'due', text(now))
    call('ZADD', delayed, text(now), id)
  end
  return waits and 1 or 0
end

local from = string.match(ARGV[1] or '', '^%+(%d+)$')
if is_newer() then
  out[2] = -1
elseif from then
  local left = 0
  local ids = call('ZRANGEBYSCORE', delayed, '(' .. text(now), text(now + SOON), 'LIMIT', from, 100)
  for _, id in ipairs(ids) do left = left + 1 - unpark(id) end
  out[2] = #ids == 100 and from + left or -1
else
  for i = 1, #ARGV do out[1 + i] = unpark(ARGV[i]) end
end
return out
