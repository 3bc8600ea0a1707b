#!lua flags=allow-oom
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
]]
local floor, max, min = math.floor, math.max, math.min
math.randomseed(time[2])
local arg = {}
for i = 1, #ARGV do arg[i] = tonumber(ARGV[i]) or 0 end

local AHEAD, MARGIN, MARGIN_MAX = 500, 150, 1500 -- ms; ms of refill kept in hand
local HASTE, SPEEDUP = 6000, 8                   -- saved credit is spent over this time, at most so fast
local BURST = 150                                -- ms that pacing may lag behind
local START, START_RATE = 8, 0.05                -- before anything is known: at once, then per ms
local FREE = 4                                   -- starts per ms above which nobody is counted

local s, changed = {}, {}
local all = call('HGETALL', pool)
for i = 1, #all, 2 do s[all[i]] = all[i + 1] end
local function num(field, otherwise) return tonumber(s[field]) or otherwise or 0 end
local function set(field, value)
  if s[field] == value or (s[field] and tonumber(s[field]) == value) then return end
  s[field] = value
  changed[field] = value
end

local me = nil -- this worker's part of the budgets
if #ARGV >= 53 then
  local function pair(i) return {tokens = arg[i], usd = arg[i + 1] / 1e9} end
  me = {worker = ARGV[42], seq = arg[43], limit = pair(44), held = pair(46), spent = pair(48),
        most = pair(50), mean = pair(52)}
end

local KINDS = {'requests', 'input', 'output'}
local cost = {requests = 1, input = arg[4], output = arg[7] == 1 and arg[6] or arg[5]}
local reserve = arg[7] == 1
-- What a start takes from the refill in the end: a reservation flows back but for what was produced.
local lasting = {requests = 1, input = arg[4], output = arg[5]}

local function known(d) return num(d .. '_limit') > 0 end
local function anything_known() return known('requests') or known('input') or known('output') end
local function rate(d) return num(d .. '_limit') / 60000 end

-- override: a limit a minute that an operator has set, per ms; 0 = none. It has a pace of its own, so
-- that what headers say of the API's bucket, which is larger, does not loosen it.
local function override(d) return num(d .. '_override') / 60000 end
local function bound(d)
  return override(d) > 0 and num(d .. '_override_next', now) - BURST or 0
end
local function overridden()
  return override('requests') > 0 or override('input') > 0 or override('output') > 0
end

-- refill: what flows back per ms, less what users we cannot see take out.
local function refill(d)
  local r, drain = rate(d), num(d .. '_drain')
  if drain < 0.03 * r then drain = 0 end
  return max(r - drain, 0.05 * r)
end

-- keep_back: the level that is left standing. A little of each bucket costs its refill time once;
-- holding back a part of the rate would cost it for ever.
local function keep_back(d)
  local m = max(num('margin', MARGIN) * rate(d), 2 * num(d .. '_cost', d == 'requests' and 1 or 0))
  local averaged = d == 'requests' or (d == 'output' and not reserve)
  if not averaged and num(d .. '_limit') >= 20000 then m = m + 500 end -- headers round to thousands
  return min(m, 0.5 * num(d .. '_capacity'))
end

local function clock_went_back()
  for _, d in ipairs(KINDS) do
    set(d .. '_next', now)
    set(d .. '_seen', 0)
    set(d .. '_drift_at', now)
    if num(d .. '_override_next') > now then set(d .. '_override_next', now) end
  end
  for _, field in ipairs({'pace_next', 'pace_from', 'refused_at', 'breaker_until', 'failed_sent', 'probe_at'}) do
    if num(field) > now then set(field, now) end
  end
end

local function refresh()
  local at = num('at', now)
  if now < at - 1000 then clock_went_back() end
  local dt = max(0, now - at)
  if arg[3] >= 0 then set('at', now) end
  for _, d in ipairs(KINDS) do
    if known(d) then
      set(d .. '_left', min(num(d .. '_capacity'), num(d .. '_left') + refill(d) * dt))
      local drain = num(d .. '_drain')
      if drain > 0 then set(d .. '_drain', drain * math.exp(-min(dt, 5000) / 60000)) end
    end
  end
  local quiet = now - num('refused_at')
  if num('share', 1) < 1 and quiet > 10000 then set('share', min(1, num('share', 1) + 0.00001 * dt)) end
  if quiet > 30000 then
    if num('margin', MARGIN) > MARGIN then set('margin', max(MARGIN, num('margin') - 0.01 * dt)) end
    if num('speedup', SPEEDUP) < SPEEDUP then
      set('speedup', min(SPEEDUP, num('speedup') * (1 + 0.00002 * dt)))
    end
  end
  return dt
end

local function charge(d, n)
  if n == 0 then return end
  set(d .. '_left', num(d .. '_left') - n)
  set(d .. '_spent', num(d .. '_spent') + n)
  local most = override(d)
  if most > 0 then
    set(d .. '_override_next', max(num(d .. '_override_next', now), now - BURST) + n / most)
  end
end

-- take_report: charges given back and corrected; what calls turn out to cost.
local function take_report()
  charge('requests', -arg[8])
  charge('input', arg[12] - arg[9])
  if reserve then charge('output', arg[14] - arg[11] - arg[23])
  else charge('output', arg[13] - arg[10] - arg[22]) end
  if arg[23] > 0 and reserve then -- how fast reservations flow back: an anchor needs it
    local gap = max(1, now - num('spare_at', now - 1000))
    if gap < 5000 then
      set('spare_rate', num('spare_rate') + min(1, gap / 5000) * (arg[23] / gap - num('spare_rate')))
    end
    set('spare_at', now)
  end
  if arg[8] > 0 and s.breaker == 'open' then set('breaker_probe', 0) end
  local ok = arg[15]
  if ok == 0 then return end
  local old = 0.97 ^ ok
  set('in_tokens', num('in_tokens') * old + arg[24])
  set('in_bytes', num('in_bytes') * old + arg[25])
  local mean, weight = arg[26] / ok, max(0.05, 1 / (num('answers') + ok)) * ok
  set('output_mean', num('output_mean', mean) + min(1, weight) * (mean - num('output_mean', mean)))
  set('latency', num('latency', arg[27]) + min(1, 0.1 * ok) * (arg[27] - num('latency', arg[27])))
  set('answers', min(1000, num('answers') + ok))
  set('accepted', num('accepted') + ok)
end

-- Anchors: a header says what was left when its request came in. Since then the bucket has refilled,
-- and all that was granted after it has been, or will be, taken out.

local function learn_limit(d, limit, left, reset, mark)
  local first = not known(d)
  set(d .. '_limit', limit)
  set(d .. '_capacity', min(limit, reset >= 0 and left + rate(d) * reset or limit))
  set(d .. '_lo', 0)
  s[d .. '_hi'] = nil
  set(d .. '_drain', 0)
  set(d .. '_drift', 0)
  set(d .. '_drift_n', 0)
  if first then
    set(d .. '_left', left - (num(d .. '_spent') - mark))
    set(d .. '_next', now)
    if num('known_at') == 0 then set('known_at', now) end
  end
  set(d .. '_seen', arg[28])
  return first
end

-- learn_capacity keeps the interval in which the bucket's size must lie: `reset` is in whole seconds.
local function learn_capacity(d, limit, left, reset)
  if reset < 0 then return end
  local blur = d == 'requests' and 1 or 600
  local lo = max(num(d .. '_lo'), left - blur, left + rate(d) * (reset - 1000) - blur)
  local hi = left + rate(d) * reset + blur
  if s[d .. '_hi'] then hi = max(lo, min(num(d .. '_hi'), hi)) end
  set(d .. '_lo', lo)
  set(d .. '_hi', hi)
  set(d .. '_capacity', min(limit, hi))
end

local function anchor_output(raw)
  if reserve then
    set('output_left', min(num('output_capacity'), raw))
  else -- what is under way is charged little by little: the own ledger leads, the header corrects
    set('output_left', num('output_left') + 0.05 * (raw - num('output_left')))
  end
end

local function anchor_level(d, left, raw)
  local level, one = num(d .. '_left'), max(1, num(d .. '_cost', 1))
  local blur = d == 'requests' and 1 or 600
  local full = level >= 0.95 * num(d .. '_capacity')
  local fuller = left >= 0.9 * num(d .. '_lo') and raw < level - 3 * one
  if full or fuller then -- a full bucket shows its size, not a stranger's spending
    if left < num(d .. '_capacity') - blur then
      local size = max(num(d .. '_lo'), left) + one + 2 * blur
      set(d .. '_hi', size)
      set(d .. '_capacity', size)
    end
    set(d .. '_left', min(num(d .. '_capacity'), raw))
  else
    local level_now = min(num(d .. '_capacity'), raw)
    set(d .. '_drift', num(d .. '_drift') + level_now - level)
    set(d .. '_drift_n', num(d .. '_drift_n') + 1)
    set(d .. '_left', level_now)
  end
end

local function anchor(i, d)
  local limit, left, reset = arg[30 + 3 * i], arg[31 + 3 * i], arg[32 + 3 * i]
  local mark, sent = arg[29 + i], arg[28]
  if limit <= 0 or left < 0 then return end
  if not known(d) or (limit ~= num(d .. '_limit') and sent > num(d .. '_seen')) then
    if learn_limit(d, limit, left, reset, mark) then return end
  end
  if limit ~= num(d .. '_limit') then return end -- an answer from before the limit changed
  learn_capacity(d, limit, left, reset)
  if sent < num(d .. '_seen') then return end
  local since = num(d .. '_spent') - mark
  if d == 'output' and reserve then since = since + num('spare_rate') * (sent - arg[29]) end
  local raw = left + refill(d) * max(0, now - sent) - since
  if d == 'output' then
    if not reserve then raw = raw - 0.5 * num('output_flying') end
    anchor_output(raw)
  else
    anchor_level(d, left, raw)
  end
  set(d .. '_seen', sent)
end

-- learn_drain: anchors that keep falling short of the ledger mean that someone else uses the key.
local function learn_drain(d)
  local one, r = max(1, num(d .. '_cost', 1)), rate(d)
  local t = now - num(d .. '_drift_at', now - 1000)
  if num(d .. '_drift_n') == 0 or t < max(1000, 10 * one / r) then return end
  local drift = num(d .. '_drift')
  if math.abs(drift) > 3 * one + (d == 'input' and 500 or 0) or num(d .. '_drain') > 0 then
    local drain = num(d .. '_drain') - 0.25 * drift / min(t, 60000)
    set(d .. '_drain', min(0.9 * r, max(0, drain)))
  end
  set(d .. '_drift', 0)
  set(d .. '_drift_n', 0)
  set(d .. '_drift_at', now)
end

local function take_headers()
  if arg[28] == 0 then return end
  for i, d in ipairs(KINDS) do anchor(i, d) end
  for _, d in ipairs({'requests', 'input'}) do
    if known(d) then learn_drain(d) end
  end
end

-- Without headers: start gently and double; at a refusal, what was accepted since the last one is the
-- limit, or less where the bucket ran over meanwhile. So go on from there, the faster the further it
-- lies below what was refused, until a second measure confirms it; then stay just below and probe slowly.

local function pace_track(p)
  set('pace_mode', 'track')
  set('pace_top', p)
  set('pace', p * 0.98)
end

local function pace_refused(sent)
  local pace, since = num('pace', START_RATE), sent - num('pace_refused', sent)
  local accepted = num('accepted')
  if not s.pace_refused then -- the end of the start: half of it is surely too much
    local begun = max(500, sent - num('pace_begun', sent))
    local steady = num('accepted') / (60000 + begun)
    set('pace_mode', 'climb')
    set('pace_top', pace)
    set('pace', max(0.0005, math.sqrt(min(pace * 0.5, max(steady, 0.0005)) * pace * 0.5)))
  elseif since < 2000 then
    set('pace', pace * 0.7)
    set('pace_top', pace * 0.7)
    set('pace_mode', 'track')
  else
    local measured = min(pace, max(0.0005, (accepted - num('pace_accepted')) / since))
    local known = s.pace_mode ~= 'climb' and math.abs(measured / num('pace_top', measured) - 1) < 0.05
    set('pace_hold', known and s.pace_mode == 'track' and min(30000, num('pace_hold', 12000) * 1.5) or 12000)
    pace_track(measured)
    if not known then
      set('pace_mode', 'seek')
      set('pace_rise', min(2, max(1.08, (pace / measured) ^ 0.25)))
    end
  end
  set('pace_from', now)
  set('pace_refused', sent)
  set('pace_accepted', accepted)
end

local function pace_grow(dt)
  if s.pace_held ~= '1' then return end
  set('pace_held', '0')
  local pace, q, mode = num('pace', START_RATE), min(dt, 1000), s.pace_mode
  local tau = min(1000, max(50, 2 * num('latency', 250)))
  if mode == 'track' then
    local hold = num('pace_hold', 12000)
    local u = (now - num('pace_from') - hold) / hold
    if u < 1.3 then pace = num('pace_top') * max(0.1, 1 + 0.02 * u * u * u)
    else pace = pace * 1.08 ^ (q / 1000) end
  elseif mode == 'seek' then
    pace = pace * num('pace_rise', 1.08) ^ (q / 1000)
  else
    pace = pace * 2 ^ (q / tau)
    if mode == 'climb' and pace >= 0.5 * num('pace_top') then
      set('pace_hold', 12000)
      set('pace_from', now)
      pace_track(num('pace_top') * 0.5)
      pace = num('pace')
    end
  end
  set('pace', min(pace, 1000))
end

local function take_refusals()
  if arg[19] == 0 then return end
  local fresh = now - num('refused_at') > 1000
  set('refused_at', now)
  set('refused', num('refused') + arg[19])
  if not fresh then return end
  if not anything_known() then
    pace_refused(arg[20])
  elseif arg[21] == 1 then -- we came too near: keep a little more in hand
    set('margin', min(MARGIN_MAX, num('margin', MARGIN) + 50))
  else -- a limit that the headers do not show: be less hasty, and slower where it was not haste
    local speedup = num('speedup', SPEEDUP)
    set('speedup', 1 + (speedup - 1) / 16)
    if speedup < 1.05 then set('share', max(0.3, num('share', 1) * 0.93)) end
  end
end

-- The breaker: when calls break, one in the fleet tries; then the rate comes back within seconds.
-- Only an answer to a request sent after the newest failure counts as success.

local function breaker_open()
  local k = num('breaker_step')
  set('breaker', 'open')
  set('breaker_probe', 0)
  set('breaker_until', now + floor(min(4000, 500 * 2 ^ k) * (0.5 + 0.5 * math.random())))
  set('breaker_step', min(6, k + 1))
end

-- try_most: after so long the one that tries is taken for dead, and another may.
local function try_most()
  local usual = 4 * num('latency')
  return usual > 0 and max(3000, min(15000, usual)) or 15000
end

local function take_ends()
  local ok, failed = arg[15] + arg[19], arg[17]
  if failed > 0 then
    set('failed_sent', max(num('failed_sent'), arg[18]))
    set('trouble', 1 - (1 - num('trouble')) * 0.9 ^ failed)
    set('failed_row', num('failed_row') + failed)
    if s.breaker == 'open' then
      if num('breaker_probe') == 1 then breaker_open() end
    elseif num('failed_row') >= 5 or num('trouble') > 0.5 or (s.breaker == 'ramp' and ok == 0) then
      set('trouble', 0.3)
      breaker_open()
    end
  end
  if ok > 0 and max(arg[16], arg[20]) > num('failed_sent') then
    set('trouble', num('trouble') * 0.9 ^ ok)
    set('failed_row', 0)
    if s.breaker == 'open' then
      set('breaker', 'ramp')
      set('breaker_from', now)
      for _, d in ipairs(KINDS) do set(d .. '_next', now) end
    end
  end
end

-- ramp: the part of the rate that is allowed while it comes back after a failure.
local function ramp()
  if s.breaker ~= 'ramp' then return 1 end
  local part = 0.2 * 2 ^ ((now - num('breaker_from')) / 750)
  if part < 1 then return part end
  set('breaker', 'shut')
  set('breaker_step', 0)
  return 1
end

-- haste: how much faster than the refill saved-up credit may be spent.
local function haste()
  local credit = 1e12
  for _, d in ipairs(KINDS) do
    if known(d) then
      credit = min(credit, (num(d .. '_left') - keep_back(d)) / refill(d)
                           + max(0, num(d .. '_next', now) - now))
    end
  end
  local since = (now - num('known_at', now)) / 1000
  return min(num('speedup', SPEEDUP), 1 + since, 1 + max(0, credit) / HASTE)
end

local delays, wait, budget = {}, nil, 0

-- when: the earliest time at which one more may start.
local function when(d)
  local kept, level = keep_back(d), num(d .. '_left')
  local need = min(cost[d], max(num(d .. '_capacity') - kept, 1)) + kept
  if d == 'output' and not reserve then need = kept end -- charged as it is produced
  local t = now
  if level < need then t = now + (need - level) / refill(d) end
  return max(t, num(d .. '_next', now) - BURST)
end

local function grant(t)
  for _, d in ipairs(KINDS) do charge(d, cost[d]) end
  if not reserve then set('output_flying', num('output_flying') + cost.output) end
  delays[#delays + 1] = floor(max(0, t - now) + 0.5)
end

local function grant_known(want, speed)
  while #delays < want do
    local t = now
    for _, d in ipairs(KINDS) do
      if known(d) then t = max(t, when(d)) end
      t = max(t, bound(d))
    end
    if t > now + AHEAD then
      wait = t - now - AHEAD / 2
      return
    end
    for _, d in ipairs(KINDS) do
      if known(d) then
        set(d .. '_next', max(num(d .. '_next', now), t) + lasting[d] / (refill(d) * speed))
      end
    end
    grant(t)
  end
end

local function grant_paced(want, part)
  local pace = num('pace', START_RATE) * part * num('share', 1)
  if num('pace_begun') == 0 then set('pace_begun', now) end
  local free = pace >= FREE and s.pace_mode ~= 'track' and part == 1 and s.breaker ~= 'open'
  if free and not me and not overridden() then return true end
  while #delays < want do
    local paced = max(now, num('pace_next', now - START / pace) - BURST)
    local t = paced
    if t > now then set('pace_held', '1') end
    for _, d in ipairs(KINDS) do t = max(t, bound(d)) end
    if t > now + AHEAD then
      wait = t - now - AHEAD / 2
      return false
    end
    set('pace_next', max(num('pace_next', now - START / pace), paced) + 1 / pace)
    grant(t)
  end
  return false
end

local function remember_costs()
  for _, d in ipairs(KINDS) do
    set(d .. '_cost', num(d .. '_cost', cost[d]) + 0.05 * (cost[d] - num(d .. '_cost', cost[d])))
  end
end

local function answer(open_in, cause, granted, why, marks)
  if me and granted > 0 then budget_hold(s, set, me, granted) end
  local fields = {}
  for field, value in pairs(changed) do
    fields[#fields + 1] = field
    if type(value) == 'number' then value = string.format('%.15g', value) end
    fields[#fields + 1] = value
  end
  if #fields > 0 then call('HSET', pool, unpack(fields)) end
  keep(open_in + now)
  local bytes = num('in_bytes')
  local out = {now, floor(open_in), cause, granted, why, string.format('%.15g', marks[1]),
               string.format('%.15g', marks[2]), string.format('%.15g', marks[3]),
               string.format('%.6g', num('output_mean', -1)),
               bytes > 0 and floor(num('in_tokens') / bytes * 1000000) or -1,
               floor(min(max(wait or 0, 0), 1000)), floor(num('input_limit')), floor(num('output_limit')), budget}
  for i = 1, #delays do out[14 + i] = delays[i] end
  return out
end

if not s.open_at and arg[3] > 0 then -- a new ledger says that it is open
  set('open_at', 0)
  set('cause', '')
end
local dt = refresh()
take_report()
take_headers()
take_refusals()
take_ends()
if known('output') or num('output_flying') > 0 then
  set('output_flying', max(0, num('output_flying') + arg[13] - arg[10] - arg[22] - arg[26]))
end
local marks = {num('requests_spent'), num('input_spent'), num('output_spent')}

local function open_gate()
  set('open_at', 0)
  set('cause', '')
  set('why', '')
end

-- shut_by_budget: no call until the day is over, or an operator lifts the budget.
local function shut_by_budget(m)
  local open_in = DAY - now % DAY
  local name = m == 'tokens' and 'PENSTOCK_BUDGET_TOKENS' or 'PENSTOCK_BUDGET_USD'
  local why = string.format('%s: %.15g of %.15g are spent on %s', name, num('budget_' .. m .. '_spent'),
                            me.limit[m], s.budget_day)
  set('open_at', now + open_in)
  set('cause', 'budget')
  set('why', why)
  set('since', now)
  set('step', 0)
  set('shut_budget', num('shut_budget') + 1)
  budget = 2
  return answer(open_in, 'budget', 0, why, marks)
end

-- The gate: shut by a 429, by the account's trouble, by a budget, or by a person.
local open_at, cause, step, probing = state()
local new_day = s.budget_day and budget_new_day(s, set)
if me then
  budget_new_day(s, set)
  budget_hear(s, set, me)
end
if cause == 'budget' and (new_day or arg[2] == 1) then
  local reached = me and select(2, budget_room(s, me, 1))
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
  set('open_at', now + arg[1])
  set('probing', 1)
  delays[1] = 0
  return answer(0, cause, 1, s.why or '', marks)
end
if cause ~= '' then open_gate() end
local want = arg[3]
if me and want ~= 0 then
  local room, reached = budget_room(s, me, want < 0 and 64 or want)
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
  local trying = num('breaker_probe') == 1 and now - num('breaker_probe_at') < try_most()
  if now < num('breaker_until') or trying then
    wait = max(num('breaker_until') - now, 250)
    return answer(0, 'overload', 0, 'calls break: one in the fleet tries', marks)
  end
  set('breaker_probe', 1)
  set('breaker_probe_at', now)
  want = 1
end
pace_grow(dt)
local part = ramp() * num('share', 1)
if want > 0 and anything_known() then
  remember_costs()
  grant_known(want, part * haste())
elseif want > 0 and grant_paced(want, ramp()) then
  return answer(0, '', -1, '', marks)
end
if s.breaker == 'open' and want > 0 and #delays == 0 then set('breaker_probe', 0) end
return answer(0, '', #delays, '', marks)
