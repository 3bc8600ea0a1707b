#!lua flags=allow-oom
-- with: lib
--[[ peek: which models wait in a queue. Asked once a second while all pools that a worker knows of
  are shut: a job of another pool may stand behind theirs, and must not wait for them.

  Returns {now, model...}: each once, '' where a payload names none. It is read by its look, not parsed.
  Keeps:   it changes nothing.
  Bounds:  16 due jobs, and of `jobs` the next 56 and the latest 28; one payload beyond 256 KiB.
]]
local out, seen, bytes = {now}, {}, 0

local function look(payload)
  local model = string.match(payload, '"model"%s*:%s*"([%w._:/@-]+)"') or ''
  if #model > 128 or seen[model] then return end
  seen[model] = true
  out[#out + 1] = model
end

local function look_at(first, step, most)
  for i = 0, most - 1 do
    local payload = bytes <= 262144 and call('LINDEX', jobs, first + step * i)
    if not payload then return end
    look(payload)
    bytes = bytes + #payload
  end
end

for _, id in ipairs(call('ZRANGEBYSCORE', delayed, '-inf', text(now), 'LIMIT', 0, 16)) do
  if call('HSTRLEN', stem_job .. id, 'payload') <= LARGE then
    look(call('HGET', stem_job .. id, 'payload') or '')
  end
end
look_at(-1, -1, 56)
look_at(0, 1, 28)
return out
