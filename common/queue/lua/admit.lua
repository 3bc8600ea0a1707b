#!lua flags=allow-oom
--[[ admit: give claimed payloads their own ids.

  ARGV[1] token   of the claim
  ARGV[2] worker
  ARGV[3] lease   ms
  ARGV[4] ttl     ms that a reply list lives
  then nine for each job: its claim id, and the eight of admit_lib

  Returns {now, {code, created, expires_at}...}; created 0 = when it was claimed:
    active     leased under its id: call the API
    delayed    its start time is ahead, or its run is paused
    duplicate  its id is unfinished or has a result: counted, not run
    expired, cancelled   leased under its id: settle it so, no call
    lost       the claim's lease ran out and the bytes went back
  Keeps:   a payload is under its claim id or under its id, never both. A finished id is not rerun.
  Bounds:  results pushed to duplicates' reply lists: 1 MiB beyond the first; a duplicate too many
           goes back to `jobs`, and its answer is lost.
  Repeat:  a job this token has admitted already answers as it did.
]]
check_sets()
local out = {now}
any_cancel = call('SCARD', cancel) > 0
for at = 5, #ARGV, 9 do out[#out + 1] = admit(ARGV[at], at + 1) end
if #gone > 0 then call('ZREM', active, unpack(gone)) end
if #leased > 0 then call('ZADD', active, unpack(leased)) end
write_counts()
return out
