-- Asks for more lists than a server can make, at a rate that does not depend on its answers:
--
--     wrk -t1 -c360 -d12s -s overload.lua http://127.0.0.1:8787
--
-- Each connection waits DELAY (100) ms between two requests, so 360 of them ask for up to 3,600 lists a second.

local pause = tonumber(os.getenv("DELAY") or "100")
local people, asked = 4000, 0
local threads = {}

function delay() return pause end

function request()
  asked = asked + 1
  local body = '{"user":"u' .. (asked % people + 1) .. '","k":10}'
  return wrk.format("POST", "/v1/recommend", { ["Content-Type"] = "application/json" }, body)
end

function setup(thread) table.insert(threads, thread) end

lists, refused, other = 0, 0, 0

function response(status)
  if status == 200 then
    lists = lists + 1
  elseif status == 429 then
    refused = refused + 1
  else
    other = other + 1
  end
end

function done(summary, latency)
  local sum = function(name)
    local n = 0
    for _, thread in ipairs(threads) do n = n + thread:get(name) end
    return n
  end
  local line = string.format("RESULT lists %d refused %d other %d ms:", sum("lists"), sum("refused"), sum("other"))
  for _, p in ipairs({ 50, 70, 80, 85, 90, 99 }) do
    line = line .. string.format(" p%d %.2f", p, latency:percentile(p) / 1000)
  end
  print(line)
end
