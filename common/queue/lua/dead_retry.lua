#!lua flags=allow-oom
-- with: lib, hold_lib
--[[ dead_retry: an operator sends dead jobs round again, with fresh counters.

  ARGV    ids, at most 100
  Returns {now, n...}: 1 = it goes round again; 0 = it was not dead, or has nothing left to retry;
  2 = still dead: this call has moved enough, send it again.
  What was never a valid job goes back to the right end of `jobs`, to be read again.
  Keeps:  a retried job has no result, and is in delayed or in jobs.
  Bounds: 1 MiB of payloads that go back to `jobs`, beyond the first.
  Repeat: a second time it is not dead, and nothing happens.
]]
if is_newer() then return NEWER end
local out, bytes = {now}, nil

local function back_to_jobs(key)
  local len = call('HSTRLEN', key, 'payload')
  if bytes and bytes + len > BATCH then return 2 end
  bytes = (bytes or -len) + len
  call('RPUSH', jobs, call('HGET', key, 'payload'))
  call('DEL', key)
  return 1
end

local function retry(id)
  local key = stem_job .. id
  if not call('ZSCORE', dead, id) then return 0 end
  if call('HEXISTS', key, 'payload') == 0 then
    call('ZREM', dead, id)
    forget(id)
    return 0
  end
  if call('HEXISTS', key, 'raw') == 1 then
    if back_to_jobs(key) == 2 then return 2 end
  else
    local at = due_now(id, key)
    call('HSET', key, 'state', 'delayed', 'due', at, 'attempts', '0', 'throttles', '0',
         'recoveries', '0')
    call('HDEL', key, 'cause', 'died')
    call('DEL', stem .. 'op:read:' .. id)
    call('ZADD', delayed, at, id)
  end
  call('ZREM', dead, id)
  call('DEL', stem_result .. id)
  count('dead_retried')
  return 1
end

for i = 1, #ARGV do out[#out + 1] = retry(ARGV[i]) end
write_counts()
return out
