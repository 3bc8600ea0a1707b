#!lua flags=allow-oom
--[[ unpark: a pool opened sooner than was thought: jobs that waited for it are due now.

  ARGV    ids, at most 100, of jobs that were parked
  Returns {now, 1 or 0...}: was it still waiting for its pool?
  Keeps:  a job that waits for another reason (a throttle, a retry, its start time) is left alone.
]]
local out = {now}
for i = 1, #ARGV do
  local id = ARGV[i]
  local key = stem_job .. id
  local due = call('ZSCORE', delayed, id)
  local waits = due and tonumber(due) > now and call('HGET', key, 'waits_for') == 'parked'
  if waits then
    call('HSET', key, 'due', text(now))
    call('ZADD', delayed, text(now), id)
  end
  out[#out + 1] = waits and 1 or 0
end
return out
