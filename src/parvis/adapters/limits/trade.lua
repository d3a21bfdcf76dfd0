-- One trade of one gateway run: it gives back what it did not use, then takes what it wants. On the server's clock.
--
-- KEYS: the run; then a bucket for each of what is given back and for each want, in order.
-- ARGV: number of the trade, name of the run, prefix of runs, life of a run in ms, how many are given back; then for each
--   that is given back: kind, ns or places, taken_us, rate's amount, unit_ns;
--   for each want: kind, at least, up to, limit, unit_ns.
-- Kinds: "rate", "places", "free" (there is no limit any more). A limit of -1 on places is none.
--
-- Numbers are doubles: all of these stay whole, being below 2^53 (ns of two days; us since 1970).

local SURPLUS_SHARE = 32

local function div(a, b) return (a - math.fmod(a, b)) / b end
local function div_up(a, b) return div(a + b - 1, b) end
local function ms(ns) return div_up(ns, 1000000) end
local function text(number) return string.format("%.0f", number) end

local run, number = KEYS[1], tonumber(ARGV[1])
local incarnation, runs, life_ms = ARGV[2], ARGV[3], ARGV[4]
local unused = tonumber(ARGV[5])
local time = redis.call("TIME")
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])

local last = redis.call("GET", run)
if last then
  local known, answer = string.match(last, "^(%d+) ?(.*)$")
  if tonumber(known) == number then return answer end
  if tonumber(known) > number then return redis.error_reply("STALE this trade is over") end
end

-- Rates: "seen_us debt_ns unit_ns", for as long as the bucket is not full.

local function bucket(key, amount, unit_ns)
  local seen_us, debt_ns, unit_was = string.match(redis.call("GET", key) or "", "^(%d+) (%d+) (%d+)$")
  if not seen_us then return now_us, 0 end
  seen_us, debt_ns, unit_was = tonumber(seen_us), tonumber(debt_ns), tonumber(unit_was)
  local passed_us = math.max(now_us - seen_us, 0)
  debt_ns = math.max(debt_ns - math.min(passed_us, debt_ns) * 1000, 0)
  if unit_was ~= unit_ns then debt_ns = math.min(div_up(debt_ns, unit_was), amount) * unit_ns end
  return seen_us + passed_us, debt_ns
end

local function keep(key, seen_us, debt_ns, unit_ns)
  redis.call("SET", key, text(seen_us) .. " " .. text(debt_ns) .. " " .. text(unit_ns), "PX", ms(debt_ns) + 1000)
end

local function surplus(left, whole, at_least, up_to)
  return math.min(up_to - at_least, div(math.max(left - div(whole, 2), 0), SURPLUS_SHARE))
end

local function give_back(key, unused_ns, taken_us, limit, unit_ns)
  local seen_us, debt_ns = bucket(key, limit, unit_ns)
  local back_ns = unused_ns - math.max(seen_us - taken_us, 0) * 1000
  keep(key, seen_us, debt_ns - math.min(math.max(back_ns, 0), debt_ns), unit_ns)
end

local function take(key, at_least, up_to, limit, unit_ns)
  local seen_us, debt_ns = bucket(key, limit, unit_ns)
  local left_ns = limit * unit_ns - debt_ns
  local missing_ns = at_least * unit_ns - left_ns
  if missing_ns > 0 then
    keep(key, seen_us, debt_ns, unit_ns)
    return { 0, div(left_ns, unit_ns), ms(debt_ns), ms(missing_ns), seen_us }
  end
  local granted = at_least + surplus(div(left_ns, unit_ns) - at_least, limit, at_least, up_to)
  debt_ns = debt_ns + granted * unit_ns
  keep(key, seen_us, debt_ns, unit_ns)
  return { granted, limit - div_up(debt_ns, unit_ns), ms(debt_ns), 0, seen_us }
end

-- Places: a hash of runs. One that does not live holds none.

local function hold(key, places)
  if places > 0 then redis.call("HSET", key, incarnation, text(places)) else redis.call("HDEL", key, incarnation) end
end

local function held_by_others(key)
  local held, sum = redis.call("HGETALL", key), 0
  for i = 1, #held, 2 do
    if held[i] ~= incarnation then
      if redis.call("EXISTS", runs .. held[i]) == 1 then
        sum = sum + tonumber(held[i + 1])
      else
        redis.call("HDEL", key, held[i])
      end
    end
  end
  return sum
end

local function take_places(key, at_least, up_to, limit)
  if limit < 0 then
    hold(key, up_to)
    return { up_to, up_to, 0, 0, now_us }
  end
  local held = tonumber(redis.call("HGET", key, incarnation) or "0")
  local free = limit - held_by_others(key)
  if at_least > free then return { held, math.max(free - held, 0), 0, 0, now_us } end
  local granted = at_least + surplus(free - at_least, limit, at_least, up_to)
  hold(key, granted)
  return { granted, free - granted, 0, 0, now_us }
end

local answer = {}
for i = 1, #KEYS - 1 do
  local key, at = KEYS[i + 1], 1 + i * 5
  local kind = ARGV[at]
  local a, b, limit, unit_ns = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  if i <= unused then
    if kind == "places" then
      hold(key, math.min(a, tonumber(redis.call("HGET", key, incarnation) or "0")))
    elseif kind == "rate" then
      give_back(key, a, b, limit, unit_ns)
    end
  else
    local slice = { b, b, 0, 0, now_us }
    if kind == "rate" then
      slice = take(key, a, b, limit, unit_ns)
    elseif kind == "places" then
      slice = take_places(key, a, b, limit)
    end
    for _, figure in ipairs(slice) do answer[#answer + 1] = text(figure) end
  end
end
local said = table.concat(answer, " ")
redis.call("SET", run, text(number) .. " " .. said, "PX", life_ms)
return said
