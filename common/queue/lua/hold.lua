#!lua flags=allow-oom
-- with: lib, hold_lib
--[[ hold: a run has been paused (its name is in `held`): its jobs that wait for their time wait on.

  ARGV[1] run
  then ids, at most 100, of its jobs
  Returns {now, 1 or 0...}: is it held now?
  What still lies in `jobs` is held by admit, what comes back from a call by settle.
  Keeps:  a job that is not delayed is left alone; so is every job where the run is not paused.
  Repeat: what is held is held.
]]
if is_newer() then return NEWER end
local out, run = {now}, ARGV[1]
for i = 2, #ARGV do
  local id = ARGV[i]
  local key, due = stem_job .. id, call('ZSCORE', delayed, id)
  local yes = due and is_held(run)
  if yes and call('HGET', key, 'waits_for') ~= 'held' then
    due = hold(id, run, key, due)
    call('HSET', key, 'due', due)
    call('ZADD', delayed, due, id)
  end
  out[#out + 1] = yes and 1 or 0
end
return out
