#!lua flags=allow-oom
--[[ dead_drop: an operator throws dead jobs away; their results stay until they expire.

  ARGV    ids, at most 100
  Returns {now, 1 or 0...}: was it dead?
  Repeat: a second time it is not dead, and nothing happens.
]]
local out = {now}
for i = 1, #ARGV do
  local was = call('ZREM', dead, ARGV[i])
  if was == 1 then
    call('DEL', stem_job .. ARGV[i], stem .. 'replies:' .. ARGV[i])
    call('SREM', waited, ARGV[i])
    count('dead_dropped')
  end
  out[#out + 1] = was
end
write_counts()
return out
