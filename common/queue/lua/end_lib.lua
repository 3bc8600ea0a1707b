--[[ end_lib: for scripts that end jobs: who is told of a result, and what else of a job or payload goes.
]]
local waited, owed = stem .. 'waited', stem .. 'owed'
local LISTS = 250 -- reply lists of duplicates that a call may serve

-- push_reply: the result goes to the list `name` ('' = none). A key of that name that is no list is
-- its maker's trouble, not that of the jobs in this batch.
local function push_reply(name, result, ttl)
  if name == '' then return end
  local key = stem .. 'reply:' .. name
  if type(try('RPUSH', key, result)) == 'number' then call('PEXPIRE', key, ttl) end
end

-- The lists that duplicates of an unfinished job have named are in the set replies:<id>, and the id is
-- in `waited`; where the job has ended and some are still without its result, it is in `owed`.
-- push_replies: the result goes to those lists (but not to `own` once more), to as many as this call may
-- still serve; tick goes on with the rest.
local lists_left, bytes_left = LISTS, BATCH
local function push_replies(id, result, ttl, own)
  local names = stem .. 'replies:' .. id
  local most = math.min(lists_left, floor(bytes_left / math.max(#result, 1)))
  if lists_left == LISTS then most = math.max(most, 1) end
  if own ~= '' then call('SREM', names, own) end
  local lists = most > 0 and call('SPOP', names, most) or {}
  for i = 1, #lists do push_reply(lists[i], result, ttl) end
  lists_left, bytes_left = lists_left - #lists, bytes_left - #lists * #result
  if call('EXISTS', names) == 1 then call('SADD', owed, id) else call('SREM', owed, id) end
end

-- tell: while someone follows the queue (`penstock tail` keeps the key `tail` alive), what ends is told
-- in the stream `ended`, the latest 10,000 of it.
local tailed
local function tell(id, status, run)
  if tailed == nil then tailed = call('EXISTS', stem .. 'tail') == 1 end
  if not tailed then return end
  call('XADD', stem .. 'ended', 'MAXLEN', '~', '10000', '*', 'id', id, 'status', status, 'run', run)
  call('PEXPIRE', stem .. 'ended', '60000')
end

-- drop_dead throws dead jobs away; their results stay until they expire.
local function drop_dead(ids)
  local keys = {}
  for i, id in ipairs(ids) do
    keys[2 * i - 1] = stem_job .. id
    keys[2 * i] = stem .. 'replies:' .. id
  end
  if #ids == 0 then return end
  call('ZREM', dead, unpack(ids))
  call('SREM', waited, unpack(ids))
  call('DEL', unpack(keys))
end

-- mark: what became of a payload that is no longer under its claim id, for admit when it is repeated or
-- comes late. The id does not tell: two payloads of one claim may name the same, and one be held.
local MARK_KEPT = 300000 -- ms
local function mark(claim, code, ms)
  call('SET', stem .. 'op:' .. claim, code, 'PX', ms or MARK_KEPT)
  return code
end
