--[[ dead_retry: an operator sends dead jobs round again, with fresh counters.

  ARGV    ids, at most 100
  Returns {now, 1 or 0...}: was it dead?
  What was never a valid job goes back to the right end of `jobs`, to be read again.
]]
local out = {now}
for i = 1, #ARGV do
  local id = ARGV[i]
  local key = job_key(id)
  local was = call('ZREM', dead, id)
  if was == 1 then
    call('DEL', result_key(id))
    if call('HGET', key, 'raw') then
      call('RPUSH', jobs, call('HGET', key, 'payload'))
      call('DEL', key)
    elseif call('EXISTS', key) == 1 then
      call('HSET', key, 'state', 'delayed', 'due', now, 'attempts', 0, 'throttles', 0, 'recoveries', 0)
      call('HDEL', key, 'cause', 'died')
      call('ZADD', delayed, now, id)
    end
    count('dead_retried')
  end
  out[#out + 1] = was
end
write_counts()
return out
