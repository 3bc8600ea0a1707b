#!lua flags=allow-oom
-- with: lib, hold_lib
--[[ release: a paused run goes on.

  ARGV[1] run
  Returns {now, released, left}: so many are due as they had been, and wait for what they waited for;
  so many wait for the next call.
  Bounds: 100 jobs.
  Repeat: goes on with the rest; then there is nothing to do.
]]
if is_newer() then return NEWER end
local run = ARGV[1]
call('SREM', held, run)
local ids, released = call('SPOP', held_ids .. run, 100), 0
for i = 1, #ids do
  local id = ids[i]
  local key = stem_job .. id
  local f = call('HMGET', key, 'waits_for', 'held_due', 'held_for')
  if f[1] == 'held' and call('ZSCORE', delayed, id) then
    local due = text(math.max(tonumber(f[2] or '0') or 0, now))
    call('HSET', key, 'due', due, 'waits_for', f[3] or '')
    call('HDEL', key, 'held_due', 'held_for')
    call('ZADD', delayed, due, id)
    released = released + 1
  end
end
return {now, released, call('SCARD', held_ids .. run)}
