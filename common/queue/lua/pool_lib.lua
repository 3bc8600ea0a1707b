--[[ pool_lib: what every script of a pool begins with. KEYS[1] is `penstock:pool:{<pool>}`, a hash:

  open_at  no call starts before this time (ms); 0 = open
  cause    why it is shut: quota, spend, auth, billing, permission, budget, paused; '' = open
  why      the same in words, for a person
  since    when it shut
  step     the account's trouble: the wait before the next single call tries (ms); 0 = none
  probing  1 while that single call is under way
]]
local pool = KEYS[1]
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local POOL_KEPT = 604800000 -- 7 days, in ms

local function state()
  local f = call('HMGET', pool, 'open_at', 'cause', 'step', 'probing')
  return tonumber(f[1] or '0'), f[2] or '', tonumber(f[3] or '0'), f[4] == '1'
end
