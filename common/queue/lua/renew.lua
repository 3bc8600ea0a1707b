#!lua flags=allow-oom
-- with: lib
--[[ renew: a living worker keeps its leases.

  ARGV[1] lease  ms
  then two for each job: id (or claim id), token

  Returns {now, n...}: the places (from 1) of those that are no longer this token's.
  Keeps:  a lease that is another's is not touched. A job that is held and has lost its place in
          active is given it back.
  Repeat: the lease runs from the last call.
]]
local out, kept, ends = {now}, {}, text(now + ARGV[1])
for at = 2, #ARGV, 2 do
  local id = ARGV[at]
  if call('HGET', stem_job .. id, 'token') == ARGV[at + 1] then
    kept[#kept + 1] = ends
    kept[#kept + 1] = id
  else
    out[#out + 1] = at / 2
  end
end
if #kept > 0 then call('ZADD', active, unpack(kept)) end
return out
