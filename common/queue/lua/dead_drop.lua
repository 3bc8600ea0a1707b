#!lua flags=allow-oom
-- with: lib, end_lib
--[[ dead_drop: an operator throws dead jobs away; their results stay until they expire.

  ARGV    ids, at most 100
  Returns {now, 1 or 0...}: was it dead?
  Repeat: a second time it is not dead, and nothing happens.
]]
local out, ids, listed = {now}, {}, {}
for i = 1, #ARGV do
  local id = ARGV[i]
  local was = call('ZSCORE', dead, id) and not listed[id]
  if was then
    ids[#ids + 1] = id
    listed[id] = true
  end
  out[#out + 1] = was and 1 or 0
end
if #ids > 0 and is_newer() then return NEWER end
drop_dead(ids)
count('dead_dropped', #ids)
write_counts()
return out
