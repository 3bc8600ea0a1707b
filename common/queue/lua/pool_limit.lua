#!lua flags=allow-oom
-- with: pool_lib
--[[ pool_limit: an operator sets limits of one's own beside the API's, or takes them away.

  ARGV    kind (requests, input, output), how many a minute ('' = no limit), and so on
  Returns {now}.
  Repeat: as good as the first time. A ledger that had expired begins again, and expires again.
]]
for i = 1, #ARGV, 2 do
  local field = ARGV[i] .. '_override'
  if ARGV[i + 1] == '' then
    call('HDEL', pool, field, field .. '_next')
  else
    call('HSET', pool, field, ARGV[i + 1])
  end
end
keep((state()))
return {now}
