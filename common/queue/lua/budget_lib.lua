--[[ budget_lib: what a pool may spend in a day (UTC, by this Redis). Fields of the pool's hash:

  budget_day                             the day that the others are about: 2026-11-24
  budget_tokens, budget_usd              the budgets, as the worker that asked last has them
  budget_tokens_spent, budget_usd_spent  what answers have cost
  budget_tokens_held, budget_usd_held    what is reserved for calls under way
  budget_lifted                          1 = an operator has lifted the budgets of that day
  held:<worker>                          of one worker: when it was heard, the number of its report,
                                         tokens and dollars that it holds; for a minute, then it is dead
]]
local DAY = 86400000

-- budget_lib: what a round does to `s`, the ledger's fields, for `me`, the worker that asks.
local function budget_lib(s, me)
  local budgets = {}
  local HELD_FOR, HELD_KEPT = 60000, 3600000
  local MONEY = {'tokens', 'usd'}

  -- today writes the date of `now`; Redis has no os.date.
  local function today()
    local floor = math.floor
    local z = floor(now / DAY) + 719468 -- days since 0000-03-01
    local era = floor(z / 146097)
    local doe = z - era * 146097
    local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
    local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
    local mp = floor((5 * doy + 2) / 153)
    local month = mp < 10 and mp + 3 or mp - 9
    return string.format('%04d-%02d-%02d', yoe + era * 400 + (month <= 2 and 1 or 0), month,
                         doy - floor((153 * mp + 2) / 5) + 1)
  end

  local function round_money(n) return tonumber(string.format('%.9f', n)) end

  -- new_day forgets what was spent on another day. True then.
  function budgets.new_day()
    local day = today()
    if s.budget_day == day then return false end
    s.budget_day, s.budget_lifted = day, 0
    for _, m in ipairs(MONEY) do s['budget_' .. m .. '_spent'] = 0 end
    return true
  end

  local function write_held()
    s['held:' .. me.worker] = string.format('%.0f %d %.0f %.9f', now, me.seq, me.held.tokens, me.held.usd)
  end

  -- hear takes a worker's report: what it holds, and what it has spent since the last one. A
  -- report that comes twice has the same number, and counts once.
  function budgets.hear()
    local was = s['held:' .. me.worker]
    local seq = was and tonumber(string.match(was, '^%d+ (%d+)'))
    for _, m in ipairs(MONEY) do
      if me.limit[m] > 0 then s['budget_' .. m] = me.limit[m] end
      if seq ~= me.seq and me.spent[m] > 0 then
        local field = 'budget_' .. m .. '_spent'
        s[field] = round_money((s[field] or 0) + me.spent[m])
      end
    end
    write_held()
  end

  -- held_by_all sums up what all workers hold. Those not heard for a minute are dead.
  local function held_by_all()
    local sum = {tokens = 0, usd = 0}
    for field, value in pairs(s) do
      if string.sub(field, 1, 5) == 'held:' then
        local at, _, tokens, usd = string.match(value, '^(%d+) (%d+) (%S+) (%S+)$')
        if not at or tonumber(at) < now - HELD_KEPT then
          call('HDEL', pool, field)
        elseif tonumber(at) >= now - HELD_FOR then
          sum.tokens = sum.tokens + tonumber(tokens)
          sum.usd = sum.usd + tonumber(usd)
        end
      end
    end
    return sum
  end

  -- room says how many of `want` calls may start, and which budget is reached where none ever
  -- may. A start is reserved at its most (max_tokens). Near the end that leaves none: then calls go one
  -- at a time, as long as the next is thought to fit. So a budget is passed by
  -- one answer at the most, and by what is billed for calls that were given up.
  function budgets.room(want)
    if s.budget_lifted == 1 then return want end
    local held, room, alone, reached = held_by_all(), want, true, nil
    for _, m in ipairs(MONEY) do
      local limit, spent = me.limit[m], s['budget_' .. m .. '_spent'] or 0
      if limit > 0 then
        if spent >= limit or (spent > 0 and spent + me.mean[m] > limit) then reached = m end
        if me.most[m] > 0 then
          room = math.min(room, math.max(0, math.floor((limit - spent - held[m]) / me.most[m])))
        end
        if held[m] > 0 then alone = false end
      end
    end
    if reached and (alone or (s['budget_' .. reached .. '_spent'] or 0) >= me.limit[reached]) then
      return 0, reached
    end
    if room == 0 and alone then return 1 end
    return room
  end

  -- hold reserves what has been granted in this round.
  function budgets.hold(granted)
    for _, m in ipairs(MONEY) do me.held[m] = me.held[m] + granted * me.most[m] end
    write_held()
    local held = held_by_all()
    for _, m in ipairs(MONEY) do
      if me.limit[m] > 0 then s['budget_' .. m .. '_held'] = round_money(held[m]) end
    end
  end

  return budgets
end
