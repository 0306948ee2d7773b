local lu = require "luaunit"
local context = require "mlengine.context"
local drift = require "mlengine.jobs.drift"
local frame = require "mlengine.frame"
local test = require "mlengine.test"

local rows = frame.sql [[
  select i::bigint as id, case when i % 10 = 0 then null else i * 1.5 end::double as amount,
    case when i = 7 then 'nan'::double else i end as score, i % 3 as kind, 'u' || i || '@x' as mail,
    date '2026-01-01' + i::int as day, i as "rows"
  from range(100) t(i)]]

--- What is broken, as one text.
local function broken(rules)
  rules.on_fail = "warn"
  local held, lines = rows:expect(rules)
  lu.assertEquals(held, #lines == 0)
  return table.concat(lines, "; ")
end

TestExpect = {}

function TestExpect.test_what_holds_says_nothing()
  lu.assertEquals(broken {
    rows = { min = 100, max = 100 },
    id = { min = 0, max = 99, unique = true, null_rate = 0, distinct = { min = 100, max = 100 }, mean = { min = 49.5, max = 49.5 } },
    amount = { null_rate = 0.1, min = 1.5 },
    score = { null_rate = 0.01, max = 99 },
    kind = { one_of = { 0, 1, 2 }, stddev = { min = 0.5, max = 1 } },
    mail = { matches = "^u\\d+@x$" },
    day = { min = "2026-01-01", max = "2026-04-10" },
    conditions = { "id <= 99", { sql = "id > 4", mostly = 0.95 } },
  }, "")
end

function TestExpect.test_each_rule_can_fail()
  local cases = {
    { { rows = { min = 101 } }, "rows: count: 100 is below 101" },
    { { id = { min = 1 } }, "id: 1 of 100 rows are below 1, as 0" },
    { { id = { max = 97 } }, "id: 2 of 100 rows are above 97, as 99" },
    { { amount = { null_rate = 0.09 } }, "amount: 10 of 100 rows have no value" },
    { { score = { null_rate = 0 } }, "score: 1 of 100 rows have no value" },
    { { kind = { unique = true } }, "kind: 97 of 100 values were there before" },
    { { kind = { one_of = { 0, 1 } } }, "kind: 33 of 100 rows are not one of those allowed, as 2" },
    { { mail = { matches = "^u1" } }, "mail: 89 of 100 rows are no match" },
    { { id = { mean = { max = 49 } } }, "id: mean: 49.5 is above 49" },
    { { id = { stddev = { min = 30 } } }, "id: stddev" },
    { { kind = { distinct = { min = 4 } } }, "kind: distinct values: 3 is below 4" },
    { { day = { min = "2026-01-02" } }, "day: 1 of 100 rows are below 2026-01-02, as 2026-01-01" },
    { { conditions = { "id > 4" } }, "id > 4: 5 of 100 rows are otherwise" },
    { { columns = { rows = { max = 98 } } }, "rows: 1 of 100 rows are above 98" },
  }
  for _, case in ipairs(cases) do lu.assertStrContains(broken(case[1]), case[2]) end
end

function TestExpect.test_mostly_lets_a_few_through()
  lu.assertEquals(broken { id = { min = 5, mostly = 0.95 } }, "")
  lu.assertStrContains(broken { id = { min = 6, mostly = 0.95 } }, "6 of 100")
end

function TestExpect.test_each_fails_as_told()
  local e = test.raises("refused", rows.expect, rows, { id = { min = 1 }, kind = { max = 1, on_fail = "warn" } })
  lu.assertStrContains(e.message, "id: 1 of 100")
  lu.assertNotStrContains(e.message, "kind")
  context.enter { run_id = 1, job = "J" }
  local current = context.current()
  test.raises("skipped", rows.expect, rows, { rows = { min = 1000, on_fail = "skip" } })
  lu.assertStrContains(current.skipped, "100 is below 1000")
  context.leave()
end

function TestExpect.test_no_rows()
  local none = rows:where "id < 0"
  local held, lines = none:expect { id = { min = 5, null_rate = 0, unique = true, mean = { min = 0 } }, on_fail = "warn" }
  lu.assertEquals({ held, lines }, { false, { "id: mean: there is none" } })
end

function TestExpect.test_mistakes_are_named()
  lu.assertStrContains(test.raises("invalid", rows.expect, rows, { amont = {} }).message, "'amount'")
  lu.assertStrContains(test.raises("invalid", rows.expect, rows, { amount = { mni = 0 } }).message, "'min'")
  lu.assertStrContains(test.raises("invalid", rows.expect, rows, { amount = { null_rate = 5 } }).message, "between 0 and 1")
  lu.assertStrContains(test.raises("invalid", rows.expect, rows, { on_fail = "wran" }).message, "'warn'")
  lu.assertStrContains(test.raises("invalid", rows.expect, rows, { schema = "fail" }).message, "job.increment")
end

TestDrift = {}

function TestDrift.test_columns_are_compared_by_id()
  local function field(id, name, type_, required) return { id = id, name = name, type = type_, required = required or false } end
  local found = drift.between(
    { field(1, "a", "int"), field(2, "b", "string"), field(3, "c", "date", true), field(4, "same", "long") },
    { field(4, "same", "long"), field(1, "a", "long"), field(3, "d", "date"), field(5, "b", "string") })
  local texts = {}
  for i, change in ipairs(found) do texts[i] = change.kind .. ": " .. change.text end
  lu.assertEquals(texts, {
    "promoted: column 'a' (id 1) changed from int to long", "renamed: column 'c' (id 3) was renamed to 'd'",
    "nullability: column 'd' (id 3) is optional now", "new: column 'b' (id 5, string) is new",
    "dropped: column 'b' (id 2) was dropped",
  })
end
