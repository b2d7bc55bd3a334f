-- Requests to score 500 of 10,000 items for one of 5,000 users, made before the clock starts: `wrk -s rank.lua`.
-- The same bodies for every server, from the same seed.

local ITEMS, USERS, CANDIDATES, BODIES = 10000, 5000, 500, 200

local requests, place = {}, 0

-- Counted per thread, summed at the end.
ok, busy, other = 0, 0, 0

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init()
  math.randomseed(7)
  local headers = { ["Content-Type"] = "application/json" }
  for i = 1, BODIES do
    local chosen, ids = {}, {}
    while #ids < CANDIDATES do
      local item = math.random(0, ITEMS - 1)
      if not chosen[item] then
        chosen[item] = true
        ids[#ids + 1] = string.format('"i%05d"', item)
      end
    end
    local user = string.format("u%05d", math.random(0, USERS - 1))
    local body = string.format('{"user":"%s","candidates":[%s]}', user, table.concat(ids, ","))
    requests[i] = wrk.format("POST", "/v1/rank", headers, body)
  end
end

function request()
  place = place % BODIES + 1
  return requests[place]
end

function response(status)
  if status == 200 then
    ok = ok + 1
  elseif status == 429 then
    busy = busy + 1
  else
    other = other + 1
  end
end

function done(summary, latency)
  local sums = { ok = 0, busy = 0, other = 0 }
  for _, thread in ipairs(threads) do
    for name, sum in pairs(sums) do
      sums[name] = sum + thread:get(name)
    end
  end
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format(
    "RESULT %.1f answers/s p50 %.2f ms p99 %.2f ms ok %d busy %d other %d broken %d\n",
    sums.ok / (summary.duration / 1e6),
    latency:percentile(50) / 1000,
    latency:percentile(99) / 1000,
    sums.ok, sums.busy, sums.other, errors))
end
