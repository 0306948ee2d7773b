local compare = require "mlengine.jobs.compare"
local lu = require "luaunit"

--- What the lines say, done to `a`.
local function patch(a, lines)
  local old, added, gone = {}, {}, {}
  for line in (a .. "\n"):gmatch "(.-)\n" do old[#old + 1] = line end
  for _, line in ipairs(lines) do
    local sign, number, text = line:match "^([-+])(%d+): (.*)$"
    if sign == "-" then
      lu.assertEquals(old[tonumber(number)], text)
      gone[tonumber(number)] = true
    else
      added[tonumber(number)] = text
    end
  end
  local new, i = {}, 1
  while i <= #old or added[#new + 1] do
    if added[#new + 1] then
      new[#new + 1] = added[#new + 1]
    else
      if not gone[i] then new[#new + 1] = old[i] end
      i = i + 1
    end
  end
  return table.concat(new, "\n")
end

TestCompare = {}

function TestCompare.test_lines_lead_from_one_text_to_the_other()
  math.randomseed(6)
  for _ = 1, 300 do
    local a, b = {}, {}
    for i = 1, math.random(1, 9) do a[i] = "line " .. math.random(1, 4) end
    for i = 1, math.random(1, 9) do b[i] = "line " .. math.random(1, 4) end
    local left, right = table.concat(a, "\n"), table.concat(b, "\n")
    lu.assertEquals(patch(left, compare.lines(left, right)), right)
  end
end

function TestCompare.test_few_lines_for_a_small_change()
  lu.assertEquals(compare.lines("a\nb\nc\n", "a\nx\nc\n"), { "-2: b", "+2: x" })
  lu.assertEquals(compare.lines("a\n", "a\n"), {})
  lu.assertNil(compare.lines(("x\n"):rep(3000) .. "a", ("y\n"):rep(3000) .. "b"))
end

function TestCompare.test_facts()
  local function run(params, rows)
    return {
      job = "J", pipeline = "P", state = "succeeded", script = "j.lua", sha256 = ("a"):rep(64), created = 1, ended = 2,
      params = params, inputs = {}, ranges = { { table = "t", to = 9, rows = rows } }, outputs = { model = "m" },
    }
  end
  local found, same = compare.facts(run({ rounds = 5 }, 10), run({ rounds = 6, seed = 1 }, 10), error)
  lu.assertEquals(found, { { what = "param rounds", a = "5", b = "6" }, { what = "param seed", b = "1" } })
  lu.assertEquals(same, 6)
end
