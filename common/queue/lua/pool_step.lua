#!lua flags=allow-oom
-- with: pool_lib, budget_lib
--[[ pool_step: one round with a pool's ledger: what ended is settled, and new starts are granted.

  ARGV (numbers unless said):
    1 hold      ms that a single trying call may take before another worker may try
    2 eager     1 = this worker has just started or got another key: try a pool in trouble at once
    3 want      starts wished for, 0-64; -1 = the governor is off: the gate alone decides
    4 input     5 output    tokens a start is expected to cost
    6 most      its max_tokens
    7 reserve   1 = the API charges output by max_tokens when a call starts, 0 = as it is produced
  what has happened since this worker's last round, summed up:
    8 back      starts given back unused, or refused and not charged
    9 back_in  10 back_out  11 back_most   what they had been charged
   12 fix_in   13 fix_out   14 fix_most    charged otherwise than granted: the difference
   15 ok       calls answered   16 ok_sent   when the newest of them was sent
   17 failed   calls that broke (5xx, 529, no answer)   18 failed_sent   when the newest was sent
   19 refused  429s of the quota   20 refused_sent   21 explained   1 = its headers say why
   22 spare_out   tokens charged at the start and not produced, of the calls answered
   23 spare_most  the same against max_tokens
   24 in_sum 25 in_bytes 26 out_sum   of the calls answered: tokens in, bytes of the requests, tokens out
   27 latency  ms, their mean
  the newest answer with rate headers (28 = 0: none):
   28 sent   29 marked   30-32 the marks of its grant: requests, input, output spent by then
   33-41 limit, remaining, reset (ms) of requests, input, output; -1 = not said
  the day's budgets (42 and on are left out where there are none; dollars in billionths):
   42 worker   43 the number of its report   44 tokens 45 dollars of a day, 0 = no such budget
   46 tokens 47 dollars that it holds for calls under way, with starts it has not used
   48 tokens 49 dollars spent since its last report
   50 tokens 51 dollars a start may cost at most   52 tokens 53 dollars it is thought to cost

  Returns {now, ms until it opens (0 = open), cause, granted (-1 = any number), why,
           spent requests, input, output (marks before these grants), mean output,
           tokens per million bytes, ms until more may be asked for,
           input limit, output limit (tokens a minute, 0 = not known),
           budget: 0, 1 = calls under way are waited for, 2 = this round shut the pool, delay ms...}
  A grant is used at its delay, not before. Its marks are the spent figures plus its own costs and
  those of the grants before it.

  The ledger's fields are told in docs/governor.md.
  Repeat: a round whose answer was lost has been counted; the next anchor puts the levels right.

  It is called some 50 to 200 times a second, so its caches are cold, and what counts is what it touches:
  each field is read once and written once, and what few rounds need is made where it is needed.
]]
local floor, max, min, tonumber, format = math.floor, math.max, math.min, tonumber, string.format
local arg, worker = ARGV, ARGV[42]
for i = 1, #arg do arg[i] = tonumber(arg[i]) or 0 end

local AHEAD, MARGIN, MARGIN_MAX = 500, 150, 1500 -- ms; ms of refill kept in hand
local HASTE, SPEEDUP = 6000, 8                   -- saved credit is spent over this time, at most so fast
local BURST = 150                                -- ms that pacing may lag behind
local START, START_RATE = 8, 0.05                -- before anything is known: at once, then per ms
local FREE = 4                                   -- starts per ms above which nobody is counted
local LOOK_AT_TTL = 60000                        -- ms

-- s: the ledger's fields, numbers but for a few words. What is put into it is written at the end, if it
-- has changed: `was` keeps what was read, a field and its value in turn, and a new field without one.
local WORDS = {cause = true, why = true, breaker = true, pace_mode = true, budget_day = true}
local s, was = {}, call('HGETALL', pool)
for i = 1, #was, 2 do
  local field, value = was[i], was[i + 1]
  if not WORDS[field] then
    value = tonumber(value) or (string.sub(field, 1, 5) == 'held:' and value)
    was[i + 1] = value
  end
  s[field] = value or nil
end
setmetatable(s, {__newindex = function(_, field, value)
  local n = #was
  was[n + 1], was[n + 2] = field, false
  rawset(s, field, value)
end})

local last = s.at or 0 -- when a worker with a governor last was here
local me = nil         -- this worker's part of the budgets
if #arg >= 53 then
  local function pair(i) return {tokens = arg[i], usd = arg[i + 1] / 1e9} end
  me = {worker = worker, seq = arg[43], limit = pair(44), held = pair(46), spent = pair(48),
        most = pair(50), mean = pair(52)}
end
local budgets = (me or s.budget_day) and budget_lib(s, me)

-- A dimension is the names of its fields.
local REQUESTS = {
  limit = 'requests_limit', capacity = 'requests_capacity', left = 'requests_left', spent = 'requests_spent',
  next = 'requests_next', seen = 'requests_seen', lo = 'requests_lo', hi = 'requests_hi', cost = 'requests_cost',
  drain = 'requests_drain', drift = 'requests_drift', drift_n = 'requests_drift_n', drift_at = 'requests_drift_at',
  override = 'requests_override', override_next = 'requests_override_next'}
local INPUT = {
  limit = 'input_limit', capacity = 'input_capacity', left = 'input_left', spent = 'input_spent',
  next = 'input_next', seen = 'input_seen', lo = 'input_lo', hi = 'input_hi', cost = 'input_cost',
  drain = 'input_drain', drift = 'input_drift', drift_n = 'input_drift_n', drift_at = 'input_drift_at',
  override = 'input_override', override_next = 'input_override_next'}
local OUTPUT = {
  limit = 'output_limit', capacity = 'output_capacity', left = 'output_left', spent = 'output_spent',
  next = 'output_next', seen = 'output_seen', lo = 'output_lo', hi = 'output_hi', cost = 'output_cost',
  drain = 'output_drain', drift = 'output_drift', drift_n = 'output_drift_n', drift_at = 'output_drift_at',
  override = 'output_override', override_next = 'output_override_next'}
local KINDS = {REQUESTS, INPUT, OUTPUT}
local reserve = arg[7] == 1
local cost = {1, arg[4], reserve and arg[6] or arg[5]} -- what a start is charged

local function known(d) return (s[d.limit] or 0) > 0 end
local function anything_known() return known(REQUESTS) or known(INPUT) or known(OUTPUT) end

-- override: a limit a minute that an operator has set, per ms; 0 = none. It has a pace of its own, so
-- that what headers say of the API's bucket, which is larger, does not loosen it.
local function override(d) return (s[d.override] or 0) / 60000 end
local overridden = override(REQUESTS) > 0 or override(INPUT) > 0 or override(OUTPUT) > 0

-- bound: the earliest time, now or later, at which the overrides let one more start.
local function bound()
  local t = now
  for i = 1, 3 do
    local d = KINDS[i]
    if override(d) > 0 then t = max(t, (s[d.override_next] or now) - BURST) end
  end
  return t
end

-- refill: what flows back per ms, less what users we cannot see take out.
local function refill(d)
  local rate, drain = (s[d.limit] or 0) / 60000, s[d.drain] or 0
  if drain < 0.03 * rate then return rate end
  return max(rate - drain, 0.05 * rate)
end

local function charge(d, n)
  if n == 0 then return end
  s[d.left] = (s[d.left] or 0) - n
  s[d.spent] = (s[d.spent] or 0) + n
  if overridden and override(d) > 0 then
    s[d.override_next] = max(s[d.override_next] or now, now - BURST) + n / override(d)
  end
end

-- refresh brings the ledger to this moment; returns the ms since it was last.
local function refresh()
  local at = s.at or now
  if now < at - 1000 then -- the clock went back
    for i = 1, 3 do
      local d = KINDS[i]
      s[d.next], s[d.seen], s[d.drift_at] = now, 0, now
      if (s[d.override_next] or 0) > now then s[d.override_next] = now end
    end
    for _, field in ipairs({'pace_next', 'pace_from', 'refused_at', 'breaker_until', 'failed_sent', 'probe_at'}) do
      if (s[field] or 0) > now then s[field] = now end
    end
  end
  local dt = max(0, now - at)
  if arg[3] >= 0 then s.at = now end
  for i = 1, 3 do
    local d = KINDS[i]
    if known(d) then
      s[d.left] = min(s[d.capacity] or 0, (s[d.left] or 0) + refill(d) * dt)
      local drain = s[d.drain] or 0
      if drain > 0 then s[d.drain] = drain * math.exp(-min(dt, 5000) / 60000) end
    end
  end
  local quiet = now - (s.refused_at or 0)
  if quiet > 10000 and s.share and s.share < 1 then s.share = min(1, s.share + 0.00001 * dt) end
  if quiet > 30000 then
    if s.margin and s.margin > MARGIN then s.margin = max(MARGIN, s.margin - 0.01 * dt) end
    if s.speedup and s.speedup < SPEEDUP then s.speedup = min(SPEEDUP, s.speedup * (1 + 0.00002 * dt)) end
  end
  return dt
end

-- take_report: charges given back and corrected; what calls turn out to cost.
local function take_report()
  charge(REQUESTS, -arg[8])
  charge(INPUT, arg[12] - arg[9])
  if reserve then charge(OUTPUT, arg[14] - arg[11] - arg[23])
  else charge(OUTPUT, arg[13] - arg[10] - arg[22]) end
  if arg[23] > 0 and reserve then -- how fast reservations flow back: an anchor needs it
    local gap = max(1, now - (s.spare_at or now - 1000))
    local spare = s.spare_rate or 0
    if gap < 5000 then s.spare_rate = spare + min(1, gap / 5000) * (arg[23] / gap - spare) end
    s.spare_at = now
  end
  if arg[8] > 0 and s.breaker == 'open' then s.breaker_probe = 0 end
  local ok = arg[15]
  if ok == 0 then return end
  local old, answers = 0.97 ^ ok, s.answers or 0
  s.in_tokens = (s.in_tokens or 0) * old + arg[24]
  s.in_bytes = (s.in_bytes or 0) * old + arg[25]
  local mean, weight = arg[26] / ok, max(0.05, 1 / (answers + ok)) * ok
  local before, latency = s.output_mean or mean, s.latency or arg[27]
  s.output_mean = before + min(1, weight) * (mean - before)
  s.latency = latency + min(1, 0.1 * ok) * (arg[27] - latency)
  s.answers = min(1000, answers + ok)
  s.accepted = (s.accepted or 0) + ok
end

-- Anchors: a header says what was left when its request came in. Since then the bucket has refilled,
-- and all that was granted after it has been, or will be, taken out.
local function take_headers()
  local sent = arg[28]

  -- learn_limit: true if it is the first that is heard of this dimension.
  local function learn_limit(d, limit, left, reset, mark)
    local first = not known(d)
    s[d.limit] = limit
    s[d.capacity] = min(limit, reset >= 0 and left + limit / 60000 * reset or limit)
    s[d.hi] = nil
    s[d.lo], s[d.drain], s[d.drift], s[d.drift_n] = 0, 0, 0, 0
    s[d.seen] = sent
    if first then
      s[d.left] = left - ((s[d.spent] or 0) - mark)
      s[d.next] = now
      if (s.known_at or 0) == 0 then s.known_at = now end
    end
    return first
  end

  -- learn_capacity keeps the interval in which the bucket's size must lie: `reset` is in whole seconds.
  local function learn_capacity(d, limit, left, reset, blur)
    local rate = limit / 60000
    local lo = max(s[d.lo] or 0, left - blur, left + rate * (reset - 1000) - blur)
    local hi = left + rate * reset + blur
    if s[d.hi] then hi = max(lo, min(s[d.hi], hi)) end
    s[d.lo], s[d.hi] = lo, hi
    s[d.capacity] = min(limit, hi)
  end

  local function anchor_output(raw)
    if reserve then
      s.output_left = min(s.output_capacity or 0, raw)
    else -- what is under way is charged little by little: the own ledger leads, the header corrects
      local level = s.output_left or 0
      s.output_left = level + 0.05 * (raw - 0.5 * (s.output_flying or 0) - level)
    end
  end

  local function anchor_level(d, left, raw, blur)
    local level, lo, capacity = s[d.left] or 0, s[d.lo] or 0, s[d.capacity] or 0
    local one = max(1, s[d.cost] or 1)
    if level >= 0.95 * capacity or (left >= 0.9 * lo and raw < level - 3 * one) then
      -- a full bucket shows its size, not a stranger's spending
      if left < capacity - blur then
        capacity = max(lo, left) + one + 2 * blur
        s[d.hi], s[d.capacity] = capacity, capacity
      end
      s[d.left] = min(capacity, raw)
    else
      local level_now = min(capacity, raw)
      s[d.drift] = (s[d.drift] or 0) + level_now - level
      s[d.drift_n] = (s[d.drift_n] or 0) + 1
      s[d.left] = level_now
    end
  end

  local function anchor(i, d)
    local limit, left, reset, mark = arg[30 + 3 * i], arg[31 + 3 * i], arg[32 + 3 * i], arg[29 + i]
    if limit <= 0 or left < 0 then return end
    local seen, blur = s[d.seen] or 0, i == 1 and 1 or 600
    if not known(d) or (limit ~= s[d.limit] and sent > seen) then
      if learn_limit(d, limit, left, reset, mark) then return end
      seen = sent
    end
    if limit ~= s[d.limit] then return end -- an answer from before the limit changed
    if reset >= 0 then learn_capacity(d, limit, left, reset, blur) end
    if sent < seen then return end
    local since = (s[d.spent] or 0) - mark
    if d == OUTPUT and reserve then since = since + (s.spare_rate or 0) * (sent - arg[29]) end
    local raw = left + refill(d) * max(0, now - sent) - since
    if d == OUTPUT then anchor_output(raw) else anchor_level(d, left, raw, blur) end
    s[d.seen] = sent
  end

  -- learn_drain: anchors that keep falling short of the ledger mean that someone else uses the key.
  local function learn_drain(d)
    local one, rate = max(1, s[d.cost] or 1), s[d.limit] / 60000
    local t = now - (s[d.drift_at] or now - 1000)
    if (s[d.drift_n] or 0) == 0 or t < max(1000, 10 * one / rate) then return end
    local drift, drain = s[d.drift] or 0, s[d.drain] or 0
    if math.abs(drift) > 3 * one + (d == INPUT and 500 or 0) or drain > 0 then
      s[d.drain] = min(0.9 * rate, max(0, drain - 0.25 * drift / min(t, 60000)))
    end
    s[d.drift], s[d.drift_n], s[d.drift_at] = 0, 0, now
  end

  for i = 1, 3 do anchor(i, KINDS[i]) end
  for i = 1, 2 do
    if known(KINDS[i]) then learn_drain(KINDS[i]) end
  end
end

-- Without headers: start gently and double; at a refusal, what was accepted since the last one is the
-- limit, or less where the bucket ran over meanwhile. So go on from there, the faster the further it
-- lies below what was refused, until a second measure confirms it; then stay just below and probe slowly.

local function pace_track(p)
  s.pace_mode = 'track'
  s.pace_top = p
  s.pace = p * 0.98
end

local function pace_refused(sent)
  local pace, since, accepted = s.pace or START_RATE, sent - (s.pace_refused or sent), s.accepted or 0
  if not s.pace_refused then -- the end of the start: half of it is surely too much
    local begun = max(500, sent - (s.pace_begun or sent))
    local steady = accepted / (60000 + begun)
    s.pace_mode = 'climb'
    s.pace_top = pace
    s.pace = max(0.0005, math.sqrt(min(pace * 0.5, max(steady, 0.0005)) * pace * 0.5))
  elseif since < 2000 then
    s.pace_mode = 'track'
    s.pace_top = pace * 0.7
    s.pace = pace * 0.7
  else
    local measured = min(pace, max(0.0005, (accepted - (s.pace_accepted or 0)) / since))
    local confirmed = s.pace_mode ~= 'climb' and math.abs(measured / (s.pace_top or measured) - 1) < 0.05
    s.pace_hold = confirmed and s.pace_mode == 'track' and min(30000, (s.pace_hold or 12000) * 1.5) or 12000
    pace_track(measured)
    if not confirmed then
      s.pace_mode = 'seek'
      s.pace_rise = min(2, max(1.08, (pace / measured) ^ 0.25))
    end
  end
  s.pace_from = now
  s.pace_refused = sent
  s.pace_accepted = accepted
end

local function pace_grow(dt)
  s.pace_held = 0
  local pace, q, mode = s.pace or START_RATE, min(dt, 1000), s.pace_mode
  if mode == 'track' then
    local hold = s.pace_hold or 12000
    local u = (now - (s.pace_from or 0) - hold) / hold
    if u < 1.3 then pace = (s.pace_top or 0) * max(0.1, 1 + 0.02 * u * u * u)
    else pace = pace * 1.08 ^ (q / 1000) end
  elseif mode == 'seek' then
    pace = pace * (s.pace_rise or 1.08) ^ (q / 1000)
  else
    pace = pace * 2 ^ (q / min(1000, max(50, 2 * (s.latency or 250))))
    if mode == 'climb' and pace >= 0.5 * (s.pace_top or 0) then
      s.pace_hold = 12000
      s.pace_from = now
      pace_track((s.pace_top or 0) * 0.5)
      pace = s.pace
    end
  end
  s.pace = min(pace, 1000)
end

local function take_refusals()
  local fresh = now - (s.refused_at or 0) > 1000
  s.refused_at = now
  s.refused = (s.refused or 0) + arg[19]
  if not fresh then return end
  if not anything_known() then
    pace_refused(arg[20])
  elseif arg[21] == 1 then -- we came too near: keep a little more in hand
    s.margin = min(MARGIN_MAX, (s.margin or MARGIN) + 50)
  else -- a limit that the headers do not show: be less hasty, and slower where it was not haste
    local speedup = s.speedup or SPEEDUP
    s.speedup = 1 + (speedup - 1) / 16
    if speedup < 1.05 then s.share = max(0.3, (s.share or 1) * 0.93) end
  end
end

-- The breaker: when calls break, one in the fleet tries; then the rate comes back within seconds.
-- Only an answer to a request sent after the newest failure counts as success.

local function breaker_open()
  local step = s.breaker_step or 0
  math.randomseed(time[2])
  s.breaker = 'open'
  s.breaker_probe = 0
  s.breaker_until = now + floor(min(4000, 500 * 2 ^ step) * (0.5 + 0.5 * math.random()))
  s.breaker_step = min(6, step + 1)
end

local function take_ends()
  local ok, failed = arg[15] + arg[19], arg[17]
  if failed > 0 then
    s.failed_sent = max(s.failed_sent or 0, arg[18])
    s.trouble = 1 - (1 - (s.trouble or 0)) * 0.9 ^ failed
    s.failed_row = (s.failed_row or 0) + failed
    if s.breaker == 'open' then
      if s.breaker_probe == 1 then breaker_open() end
    elseif s.failed_row >= 5 or s.trouble > 0.5 or (s.breaker == 'ramp' and ok == 0) then
      s.trouble = 0.3
      breaker_open()
    end
  end
  if ok > 0 and max(arg[16], arg[20]) > (s.failed_sent or 0) then
    s.trouble = (s.trouble or 0) * 0.9 ^ ok
    s.failed_row = 0
    if s.breaker == 'open' then
      s.breaker = 'ramp'
      s.breaker_from = now
      for i = 1, 3 do s[KINDS[i].next] = now end
    end
  end
end

-- ramp: the part of the rate that is allowed while it comes back after a failure.
local function ramp()
  if s.breaker ~= 'ramp' then return 1 end
  local part = 0.2 * 2 ^ ((now - (s.breaker_from or 0)) / 750)
  if part < 1 then return part end
  s.breaker = 'shut'
  s.breaker_step = 0
  return 1
end

local delays, wait, budget = {}, nil, 0

local function grant(t)
  for i = 1, 3 do charge(KINDS[i], cost[i]) end
  if not reserve then s.output_flying = (s.output_flying or 0) + cost[3] end
  delays[#delays + 1] = floor(t - now + 0.5)
end

-- keep_back: the level that is left standing. A little of each bucket costs its refill time once;
-- holding back a part of the rate would cost it for ever.
local function keep_back(i, d)
  local limit = s[d.limit] or 0
  local kept = max((s.margin or MARGIN) * (limit / 60000), 2 * (s[d.cost] or (i == 1 and 1 or 0)))
  local averaged = i == 1 or (i == 3 and not reserve)
  if not averaged and limit >= 20000 then kept = kept + 500 end -- headers round to thousands
  return min(kept, 0.5 * (s[d.capacity] or 0))
end

-- grant_known: `part` of the rate, and faster while there is saved-up credit.
local function grant_known(want, part)
  local flow, need, gap, credit = {}, {}, {}, 1e12 -- of each dimension that is known
  for i = 1, 3 do
    local d = KINDS[i]
    local mean = s[d.cost] or cost[i]
    s[d.cost] = mean + 0.05 * (cost[i] - mean)
    if known(d) then
      local kept = keep_back(i, d)
      flow[i] = refill(d)
      need[i] = min(cost[i], max((s[d.capacity] or 0) - kept, 1)) + kept
      if i == 3 and not reserve then need[i] = kept end -- charged as it is produced
      credit = min(credit, ((s[d.left] or 0) - kept) / flow[i] + max(0, (s[d.next] or now) - now))
    end
  end
  local since = (now - (s.known_at or now)) / 1000
  local speed = part * min(s.speedup or SPEEDUP, 1 + since, 1 + max(0, credit) / HASTE)
  -- What a start takes from the refill in the end: a reservation flows back but for what was produced.
  for i = 1, 3 do
    if flow[i] then gap[i] = (i == 3 and arg[5] or cost[i]) / (flow[i] * speed) end
  end
  while #delays < want do
    local t = overridden and bound() or now
    for i = 1, 3 do
      if flow[i] then
        local left, next = s[KINDS[i].left] or 0, s[KINDS[i].next] or now
        local filled = left < need[i] and now + (need[i] - left) / flow[i] or now
        if filled > t then t = filled end
        if next - BURST > t then t = next - BURST end
      end
    end
    if t > now + AHEAD then
      wait = t - now - AHEAD / 2
      return
    end
    for i = 1, 3 do
      local next = KINDS[i].next
      if flow[i] then s[next] = max(s[next] or now, t) + gap[i] end
    end
    grant(t)
  end
end

-- grant_paced: true where any number may start.
local function grant_paced(want, part)
  local pace = (s.pace or START_RATE) * part * (s.share or 1)
  if (s.pace_begun or 0) == 0 then s.pace_begun = now end
  local free = pace >= FREE and s.pace_mode ~= 'track' and part == 1 and s.breaker ~= 'open'
  if free and not me and not overridden then return true end
  while #delays < want do
    local next = s.pace_next or now - START / pace
    local paced = max(now, next - BURST)
    if paced > now then s.pace_held = 1 end
    local t = overridden and max(paced, bound()) or paced
    if t > now + AHEAD then
      wait = t - now - AHEAD / 2
      return false
    end
    s.pace_next = max(next, paced) + 1 / pace
    grant(t)
  end
  return false
end

local function number(n) return format(n % 1 == 0 and n < 1e15 and n > -1e15 and '%d' or '%.15g', n) end

local function write()
  local fields, n = {}, 0
  for i = 1, #was, 2 do
    local field = was[i]
    local value = s[field]
    if value ~= nil and value ~= was[i + 1] then
      fields[n + 1] = field
      fields[n + 2] = type(value) == 'number' and number(value) or value
      n = n + 2
    end
  end
  if n > 0 then call('HSET', pool, unpack(fields)) end
end

local function answer(open_in, cause, granted, why, marks)
  if me and granted > 0 then budgets.hold(granted) end
  write()
  -- keep writes at most once an hour, so to ask once a minute is enough.
  if open_in > 0 or floor(last / LOOK_AT_TTL) ~= floor(now / LOOK_AT_TTL) then keep(open_in + now) end
  local bytes = s.in_bytes or 0
  local out = {now, floor(open_in), cause, granted, why, number(marks[1]), number(marks[2]), number(marks[3]),
               format('%.6g', s.output_mean or -1),
               bytes > 0 and floor((s.in_tokens or 0) / bytes * 1000000) or -1,
               floor(min(max(wait or 0, 0), 1000)), floor(s.input_limit or 0), floor(s.output_limit or 0), budget}
  for i = 1, #delays do out[14 + i] = delays[i] end
  return out
end

local function open_gate()
  s.open_at, s.cause, s.why = 0, '', ''
end

if not s.open_at and arg[3] > 0 then -- a new ledger says that it is open
  s.open_at, s.cause = 0, ''
end
local dt = refresh()
take_report()
if arg[28] ~= 0 then take_headers() end
if arg[19] > 0 then take_refusals() end
take_ends()
if known(OUTPUT) or (s.output_flying or 0) > 0 then
  s.output_flying = max(0, (s.output_flying or 0) + arg[13] - arg[10] - arg[22] - arg[26])
end
local marks = {s.requests_spent or 0, s.input_spent or 0, s.output_spent or 0}

-- shut_by_budget: no call until the day is over, or an operator lifts the budget.
local function shut_by_budget(m)
  local open_in = DAY - now % DAY
  local name = m == 'tokens' and 'PENSTOCK_BUDGET_TOKENS' or 'PENSTOCK_BUDGET_USD'
  local why = format('%s: %.15g of %.15g are spent on %s', name, s['budget_' .. m .. '_spent'] or 0,
                     me.limit[m], s.budget_day)
  s.open_at, s.cause, s.why, s.since, s.step = now + open_in, 'budget', why, now, 0
  s.shut_budget = (s.shut_budget or 0) + 1
  budget = 2
  return answer(open_in, 'budget', 0, why, marks)
end

-- The gate: shut by a 429, by the account's trouble, by a budget, or by a person.
local open_at, cause, step, probing = s.open_at or 0, s.cause or '', s.step or 0, s.probing == 1
local new_day = s.budget_day and budgets.new_day()
if me then
  budgets.new_day()
  budgets.hear()
end
if cause == 'budget' and (new_day or arg[2] == 1) then
  local reached = me and select(2, budgets.room(1))
  if not reached then
    open_gate()
    open_at, cause = 0, ''
  end
end
local deserted = open_at - now < arg[1] - 15000 -- whoever began to try must have died
if open_at > now and not (step > 0 and arg[2] == 1 and (deserted or not probing)) then
  return answer(open_at - now, cause, 0, s.why or '', marks)
end
if step > 0 then
  if arg[3] == 0 then return answer(0, cause, 0, s.why or '', marks) end
  s.open_at, s.probing = now + arg[1], 1
  delays[1] = 0
  return answer(0, cause, 1, s.why or '', marks)
end
if cause ~= '' then open_gate() end
local want = arg[3]
if me and want ~= 0 then
  local room, reached = budgets.room(want < 0 and 64 or want)
  if reached then return shut_by_budget(reached) end
  if room == 0 then
    wait, budget = 100, 1
    return answer(0, '', 0, 'the budget waits for what calls under way cost', marks)
  end
  for i = 1, want < 0 and room or 0 do grant(now) end
  if want < 0 then return answer(0, '', #delays, '', marks) end
  want = room
end
if want < 0 then return answer(0, '', -1, '', marks) end
if s.breaker == 'open' and want > 0 then
  -- After so long the one that tries is taken for dead, and another may.
  local usual = 4 * (s.latency or 0)
  local patience = usual > 0 and max(3000, min(15000, usual)) or 15000
  local trying = s.breaker_probe == 1 and now - (s.breaker_probe_at or 0) < patience
  local till = s.breaker_until or 0
  if now < till or trying then
    wait = max(till - now, 250)
    return answer(0, 'overload', 0, 'calls break: one in the fleet tries', marks)
  end
  s.breaker_probe, s.breaker_probe_at = 1, now
  want = 1
end
if s.pace_held == 1 then pace_grow(dt) end
local part = ramp()
if want > 0 and anything_known() then
  grant_known(want, part * (s.share or 1))
elseif want > 0 and grant_paced(want, part) then
  return answer(0, '', -1, '', marks)
end
if s.breaker == 'open' and want > 0 and #delays == 0 then s.breaker_probe = 0 end
return answer(0, '', #delays, '', marks)
