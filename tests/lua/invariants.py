"""invariants: what is true of a queue after every script, looked at key by key.

  - an id is in one of delayed, active and dead, and has its hash; a hash has its place
  - `state` says which place that is; claim ids (~...) are only ever active
  - a token and a worker are named exactly while the job is active
  - `due` is the job's score in delayed
  - an unfinished job has no result
  - reply lists that duplicates named are remembered while the job is unfinished, or it is owed them
  - results, reply lists, operations, run counts and deaths have a time to live
  - no other key is there
"""
import json

DUMP = """
local stem = KEYS[1]
local function pairs_of(name)
  local out, flat = {}, redis.call('ZRANGE', stem .. name, 0, -1, 'WITHSCORES')
  for i = 1, #flat, 2 do out[#out + 1] = {flat[i], flat[i + 1]} end
  return out
end
local out = {owed = redis.call('SMEMBERS', stem .. 'owed'), replies = {},
             waited = redis.call('SMEMBERS', stem .. 'waited'),
             delayed = pairs_of('delayed'), active = pairs_of('active'), dead = pairs_of('dead'),
             jobs = {}, endless = {}, others = {}}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local name = string.sub(key, 1, #stem) == stem and string.sub(key, #stem + 1) or key
  local kind, rest = string.match(name, '^(%a+):(.*)$')
  if kind == 'job' then
    local f = redis.call('HMGET', key, 'state', 'token', 'worker', 'due')
    out.jobs[#out.jobs + 1] = {rest, f[1], f[2], f[3], f[4],
                               redis.call('HEXISTS', key, 'payload') == 1,
                               redis.call('EXISTS', stem .. 'result:' .. rest) == 1}
  elseif kind == 'replies' then
    out.replies[#out.replies + 1] = rest
  elseif string.find(' result reply op run deaths held ', ' ' .. (kind or '-') .. ' ', 1, true) then
    local ttl = redis.call('PTTL', key)
    if ttl == -1 or ttl > 31 * 86400000 then out.endless[#out.endless + 1] = name end
  elseif name ~= key or not string.find(key, '^penstock:') then
    out.others[#out.others + 1] = name
  end
end
return cjson.encode(out)
"""

PASS_MS = """
local stem, ms = KEYS[1], tonumber(ARGV[1])
for _, name in ipairs({'delayed', 'active', 'dead'}) do
  local flat = redis.call('ZRANGE', stem .. name, 0, -1, 'WITHSCORES')
  for i = 1, #flat, 2 do redis.call('ZADD', stem .. name, flat[i + 1] - ms, flat[i]) end
end
for _, key in ipairs(redis.call('KEYS', '*')) do
  if string.sub(key, 1, #stem + 4) == stem .. 'job:' then
    for _, field in ipairs({'due', 'created', 'expires_at', 'died'}) do
      local value = tonumber(redis.call('HGET', key, field) or '-1')
      if value >= 0 then redis.call('HSET', key, field, value - ms) end
    end
  elseif string.sub(key, 1, #stem) == stem then
    local left = redis.call('PTTL', key)
    if left >= 0 then redis.call('PEXPIRE', key, math.max(left - ms, 0)) end
  end
end
"""

KNOWN = {"jobs", "delayed", "active", "dead", "stats", "paused", "cancel", "version", "waited", "owed", "claims",
         "tail", "ended", "held"}
PLACES = ("delayed", "active", "dead")


def check(queue):
    seen = json.loads(queue.redis.eval(DUMP, 1, queue.stem))
    places = {}
    for name in PLACES:
        for id, score in seen[name]:
            assert id not in places, f"{id} is in {places[id][0]} and in {name}"
            places[id] = name, int(float(score))
    hashes = {job[0]: job[1:] for job in seen["jobs"]}
    assert set(places) - set(hashes) <= queue.evicted, "a place without its hash"
    assert not set(hashes) - set(places), f"hashes in no place: {set(hashes) - set(places)}"
    assert set(seen["replies"]) == set(seen["waited"]) | set(seen["owed"])
    for id, fields in hashes.items():
        check_job(id, places[id], fields)
    assert seen["endless"] == {}, f"without a time to live: {seen['endless']}"
    assert set(seen["others"]) <= KNOWN, f"unknown keys: {set(seen['others']) - KNOWN}"


def check_job(id, place, fields):
    (name, score), (state, token, worker, due, has_payload, has_result) = place, fields
    claimed = id.startswith("~")
    assert has_payload, f"{id} has no payload"
    assert state == name, f"{id}: {state} in {name}"
    assert not claimed or name == "active", f"{id} is in {name}"
    assert bool(token) == bool(worker) == (name == "active"), f"{id}: {token} {worker} in {name}"
    if name == "delayed":
        assert int(due) == score, f"{id} is due at {due}, not {score}"
    assert not has_result or name == "dead", f"{id} is {name} and has a result"


READ = {b"hash": "hgetall", b"set": "smembers", b"string": "get", b"stream": "xrange"}


def everything(queue):
    keys = sorted(key for key in queue.redis.keys("*") if b":op:" not in key)
    pipe = queue.redis.pipeline(transaction=False)
    for key in keys:
        pipe.type(key)
    kinds = pipe.execute()
    for key, kind in zip(keys, kinds):
        if kind == b"list":
            pipe.lrange(key, 0, -1)
        elif kind == b"zset":
            pipe.zrange(key, 0, -1, withscores=not key.endswith(b":active"))
        else:
            getattr(pipe, READ[kind])(key)
    found = dict(zip(keys, pipe.execute()))
    for key, value in found.items():
        if key.endswith(b":active") and isinstance(value, list):
            value.sort()  # a repeat starts leases anew
        if b":run:" in key and isinstance(value, dict):
            value.pop(b"updated", None)
    return found
