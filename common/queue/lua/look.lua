#!lua flags=no-writes
-- with: lib
--[[ look: reads many things at once for those who watch (worker/admin). It changes nothing.

  ARGV    items of four: what, a, b, c
    queue    stem            -> {why it is paused or '', stats as a flat list, delayed jobs by when
                                 they are due: {by now, in 1 s, 5 s, 15 s, 1 min, 5 min, 1 h, later}}
    hash     key             -> the hash as a flat list
    workers  key prefix      -> {{id, seen, hash as a flat list}...}, the latest 100
    dead     stem first n    -> {how many, {id, died, cause, last_error, last_status, attempts}...},
                                 the latest first
    job      stem id cap     -> {hash without payload as a flat list, payload's first bytes, its
                                 length, result's first bytes, its length, its ttl in ms, due, lease}
    waiting  stem first      -> {payload...} of jobs from the left, which is where new ones come in; {}: the end
    members  stem set cursor -> {the next cursor, {id, run or ''}...}: every member that stays in delayed or
                                active meanwhile is among what the cursors from 0 to 0 gave, once or more
  Returns {now, item...}.
  Bounds: the caller asks for at most 48 items; 100 workers, 100 dead, `cap` bytes of a payload, 100
          payloads and, beyond the first of them, about 1 MiB; some 100 members.
  Repeat: as good as the first time.
]]
local look = {}
local EDGES = {0, 1000, 5000, 15000, 60000, 300000, 3600000}

-- list: a key that someone has made something else of is nothing to see.
local function list(...)
  local got = try(...)
  if type(got) == 'table' and got.err then return {} end
  return got
end

function look.queue(of)
  local due, before = {}, 0
  for i, ahead in ipairs(EDGES) do
    local upto = call('ZCOUNT', of .. 'delayed', '-inf', text(now + ahead))
    due[i] = upto - before
    before = upto
  end
  due[#due + 1] = call('ZCARD', of .. 'delayed') - before
  local why = list('GET', of .. 'paused')
  return {type(why) == 'string' and why or '', list('HGETALL', of .. 'stats'), due}
end

function look.hash(key) return list('HGETALL', key) end

function look.workers(key, prefix)
  local out, ids = {}, list('ZREVRANGE', key, 0, 99, 'WITHSCORES')
  for i = 1, #ids, 2 do out[#out + 1] = {ids[i], ids[i + 1], list('HGETALL', prefix .. ids[i])} end
  return out
end

function look.dead(of, first, n)
  local last = tonumber(first) + math.min(tonumber(n), 100) - 1
  local out = {call('ZCARD', of .. 'dead')}
  local ids = call('ZREVRANGE', of .. 'dead', first, last, 'WITHSCORES')
  for i = 1, #ids, 2 do
    local f = list('HMGET', of .. 'job:' .. ids[i], 'cause', 'last_error', 'last_status', 'attempts')
    out[#out + 1] = {ids[i], ids[i + 1], f[1] or '', f[2] or '', f[3] or '', f[4] or ''}
  end
  return out
end

function look.job(of, id, cap)
  local key, result = of .. 'job:' .. id, of .. 'result:' .. id
  local fields, payload, all = {}, '', list('HGETALL', key)
  for i = 1, #all, 2 do
    if all[i] == 'payload' then
      payload = all[i + 1]
    elseif all[i] ~= 'token' then
      fields[#fields + 1] = all[i]
      fields[#fields + 1] = all[i + 1]
    end
  end
  local head = list('GETRANGE', result, 0, tonumber(cap) - 1)
  if type(head) ~= 'string' then head = '' end
  return {fields, string.sub(payload, 1, cap), #payload, head, call('STRLEN', result),
          call('PTTL', result), call('ZSCORE', of .. 'delayed', id) or '',
          call('ZSCORE', of .. 'active', id) or ''}
end

-- waiting takes ever larger steps: a list gives its middle slowly, and a payload may be large.
function look.waiting(of, first)
  local out, at, step, bytes = {}, tonumber(first), 1, 0
  while #out < 100 and bytes <= BATCH do
    local got = list('LRANGE', of .. 'jobs', text(at), text(at + step - 1))
    for i = 1, #got do
      out[#out + 1] = got[i]
      bytes = bytes + #got[i]
    end
    if #got < step then break end
    at = at + step
    step = math.min(2 * step, 100 - #out)
  end
  return out
end

function look.members(of, set, cursor)
  local got = list('ZSCAN', of .. set, cursor, 'COUNT', '100')
  local out, pairs_ = {got[1] or '0'}, got[2] or {}
  for i = 1, #pairs_, 2 do
    local run = try('HGET', of .. 'job:' .. pairs_[i], 'run')
    out[#out + 1] = {pairs_[i], type(run) == 'string' and run or ''}
  end
  return out
end

local out = {now}
for i = 1, #ARGV, 4 do
  out[#out + 1] = look[ARGV[i]](unpack(ARGV, i + 1, i + 3))
end
return out
