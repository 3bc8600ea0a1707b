--[[ pool_lib: what every script of a pool needs. KEYS[1] is `penstock:pool:{<pool>}`, a hash:

  open_at  no call starts before this time (ms); 0 = open
  cause    why it is shut: quota, overload; spend, auth, billing, permission; budget, paused; '' = open
  why      the same in words, for a person
  since    when it shut
  step     the account's trouble: the wait before the next single call tries (ms); 0 = none
  probing  1 while that single call is under way

  Who may shut whom: what people decide (paused, budget) stands over the account's trouble, and that
  over a quota. The lesser one only moves open_at on.
]]
local pool = KEYS[1]
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local POOL_KEPT = 604800000 -- 7 days, in ms
local HOUR = 3600000

local function state()
  local f = call('HMGET', pool, 'open_at', 'cause', 'step', 'probing')
  return tonumber(f[1] or '0'), f[2] or '', tonumber(f[3] or '0'), f[4] == '1'
end

-- keep: the ledger stays for 7 days after its last use, and after it opens. To ask whether a pool is
-- open costs the replicas nothing: the time to live is set anew at most once an hour.
local function keep(open_at)
  local ttl = math.max(open_at - now, 0) + POOL_KEPT
  local left = call('PTTL', pool)
  if left ~= -2 and (left < ttl - HOUR or left > ttl + HOUR) then call('PEXPIRE', pool, ttl) end
end
