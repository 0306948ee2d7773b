local lu = require "luaunit"
local context = require "mlengine.context"
local job = require "mlengine.job"
local jobs = require "mle.jobs"
local json = require "mlengine.json"
local test = require "mlengine.test"

--- A table as mlengine.iceberg gives it, of as many snapshots of ten rows as `ids` has.
local function fake_table(ids)
  local index = {}
  for i, id in ipairs(ids) do index[id] = i end
  local t = { name = "bank.trx", uuid = "u-1", current_snapshot = ids[1] and { id = ids[#ids] } }
  function t:range(options)
    local from, to = options.from and index[options.from] or 0, options.to and index[options.to] or #ids
    self.asked = options
    local between = table.move(ids, from + 1, to, 1, {})
    return { from = options.from, to = ids[to], snapshots = between, rows = 10 * #between, empty = #between == 0 }
  end
  function t:refs() return {} end
  function t:increment(range) return { rows = range.rows, range = range, empty = range.empty, snapshots = range.snapshots } end
  return t
end

TestJob = {}

function TestJob:setUp()
  self.folder = test.folder()
  self.state = jobs.open(self.folder.path)
end

function TestJob:tearDown()
  context.leave()
  self.state:close()
  self.folder:close()
end

function TestJob:enter(fields)
  fields = fields or {}
  local run, lock = self.state:create {
    pipeline = "P", job = "J", script = "j.lua", script_text = "x", consumer = "P/J", params = "{}", rehearsal = fields.rehearsal,
  }
  self.state:start(run)
  fields.run_id, fields.consumer, fields.pipeline, fields.job, fields.state = run, "P/J", "P", "J", self.state
  fields.attempt = 1
  local entered = context.enter(fields)
  entered.lock = lock
  return entered
end

function TestJob:succeed(entered)
  self.state:succeed(entered.run_id, json.encode(entered.outputs), entered.actions)
  entered.lock:close()
end

--- Nothing of MLflow is here, so nothing can have been forgotten.
local function no_tracking(f, ...)
  local config = require "mlengine.config"
  local real = config.tracking_uri
  config.tracking_uri = function() return "sqlite:////nowhere/mlflow.db" end
  local results = table.pack(pcall(f, ...))
  config.tracking_uri = real
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

local function increment(...) return no_tracking(job.increment, ...) end

-- ====== Increments ======

function TestJob:test_each_row_is_in_one_succeeded_run()
  local big = 1 << 62
  local read = {}
  for _, ids in ipairs { { big, big + 1 }, { big, big + 1 }, { big, big + 1, 7 } } do
    local entered = self:enter()
    local batch = increment(fake_table(ids))
    for _, id in ipairs(batch.snapshots) do read[#read + 1] = id end
    self:succeed(entered)
  end
  lu.assertEquals(read, { big, big + 1, 7 })
end

function TestJob:test_a_failed_run_consumes_nothing()
  local entered = self:enter()
  lu.assertEquals(increment(fake_table { 1, 2 }).rows, 20)
  self.state:finish(entered.run_id, "failed", "boom")
  self:enter()
  lu.assertEquals(increment(fake_table { 1, 2, 3 }).rows, 30)
end

function TestJob:test_the_range_of_a_run_is_pinned()
  self:enter()
  local ids = { 1, 2 }
  local t = fake_table(ids)
  lu.assertEquals(increment(t).rows, 20)
  ids[3] = 3
  lu.assertEquals(increment(t).rows, 20)
end

function TestJob:test_initial()
  for _, case in ipairs { { "full", 30 }, { "latest", 0 }, { 2, 10 } } do
    local entered = self:enter()
    lu.assertEquals(increment(fake_table { 1, 2, 3 }, { initial = case[1] }).rows, case[2])
    self.state:finish(entered.run_id, "stopped", "next")
  end
end

--- Else "latest" would be tomorrow's latest again, and today's rows would be lost.
function TestJob:test_latest_holds_although_the_run_skips()
  local entered = self:enter()
  lu.assertTrue(increment(fake_table { 1 }, { initial = "latest" }).empty)
  self.state:skip(entered.run_id, "no new snapshot", {})
  self:enter()
  lu.assertEquals(increment(fake_table { 1, 2 }, { initial = "latest" }).snapshots, { 2 })
end

function TestJob:test_options_are_handed_on_and_checked()
  self:enter()
  local t = fake_table { 1 }
  increment(t, { on_gap = "full", on_rollback = "common_ancestor", on_non_append = "skip" })
  lu.assertEquals(t.asked.on_gap, "full")
  lu.assertEquals(t.asked.on_rollback, "common_ancestor")
  lu.assertStrContains(test.raises("invalid", job.increment, t, { on_gap = "ful" }).message, "'full'")
  lu.assertStrContains(test.raises("invalid", job.increment, t, { consumr = "x" }).message, "'consumer'")
  lu.assertStrContains(test.raises("invalid", job.increment, t, { commit = "deploy" }).message, "'deployed'")
  lu.assertStrContains(test.raises("invalid", job.increment, t, { max_rows = 0 }).message, "at least 1")
  lu.assertStrContains(test.raises("invalid", job.increment, t, { since = "soon" }).message, '"30d"')
  lu.assertStrContains(test.raises("invalid", job.increment, t, { since = "1d", last = { snapshots = 1 } }).message, "not both")
  lu.assertStrContains(test.raises("invalid", job.increment, t, { last = { rows = 1 } }).message, "'rows'")
  lu.assertStrContains(test.raises("invalid", increment, t, { initial = "lates", consumer = "other" }).message, "latest")
  lu.assertStrContains(test.raises("invalid", job.increment, "bank.trx").message, "load_table")
end

function TestJob:test_window_and_limits_are_handed_on()
  self:enter()
  local t = fake_table { 1 }
  increment(t, { max_snapshots = 3, max_rows = 5, since = "2d", schema = "end", branch = "dev" })
  lu.assertEquals({ t.asked.max_snapshots, t.asked.max_rows, t.asked.since, t.asked.schema, t.asked.branch }, { 3, 5, "2d", "end", "dev" })
end

function TestJob:test_branches_have_watermarks_of_their_own()
  for _, branch in ipairs { "main", "dev" } do
    local entered = self:enter()
    lu.assertEquals(increment(fake_table { 1, 2 }, { branch = branch }).rows, 20)
    self:succeed(entered)
    lu.assertEquals(self.state:watermark("P/J", "u-1", branch), 2)
  end
end

function TestJob:test_rows_held_for_a_release_are_not_trained_on_alone_again()
  local options = { commit = "deployed" }
  local entered = self:enter()
  lu.assertEquals(increment(fake_table { 1, 2 }, options).rows, 20)
  self:succeed(entered)
  lu.assertNil(self.state:watermark("P/J", "u-1", "main"))
  entered = self:enter()
  lu.assertTrue(increment(fake_table { 1, 2 }, options).empty)
  self.state:skip(entered.run_id, "no new snapshot", {})
  self:enter()
  lu.assertEquals(increment(fake_table { 1, 2, 3 }, options).rows, 30) -- with what came since, again
end

function TestJob:test_a_snapshot_stepped_over_is_left_out()
  self.state:move_watermark("P/J", "u-1", "main", { action = "skip", table_name = "t", snapshot = 2, who = "ann", why = "bad" })
  self:enter()
  local t = fake_table { 1, 2, 3 }
  increment(t)
  lu.assertEquals(t.asked.without, { 2 })
end

function TestJob:test_rehearsals()
  local ids = { 1, 2, 3, 4 }
  for upto = 2, 3 do
    local entered = self:enter()
    increment(fake_table { table.unpack(ids, 1, upto) })
    self:succeed(entered)
  end
  local cases = {
    { { rehearsal = "again" }, { 3 } }, { { rehearsal = "watch" }, { 3 } }, { { rehearsal = "full" }, ids },
    { { rehearsal = "dry-run" }, { 4 } }, { { rehearsal = "range", rehearsal_range = { from = 1, to = 3 } }, { 2, 3 } },
    { { rehearsal = "range", rehearsal_range = { to = 2 } }, { 1, 2 } },
  }
  for _, case in ipairs(cases) do
    local entered = self:enter(case[1])
    lu.assertEquals(increment(fake_table(ids)).snapshots, case[2], case[1].rehearsal)
    self:succeed(entered)
    lu.assertEquals(self.state:watermark("P/J", "u-1", "main"), 3)
  end
end

function TestJob:test_another_consumer_is_locked()
  local entered = self:enter()
  increment(fake_table { 1 }, { consumer = "shared" })
  local e = test.raises("busy", self.state.lock, self.state, "consumer", "shared", "me")
  lu.assertStrContains(e.message, ("run %d (process"):format(entered.run_id))
end

-- ====== The same again ======

local pinned = require "mlengine.jobs.pinned"

--- A fake table that says which of its snapshots are there, each the child of the one before.
local function with_handle(t, ids)
  local parents = {}
  for i, id in ipairs(ids) do parents[id] = { id = id, parent_id = ids[i - 1] } end
  t.handle = { snapshot = function(_, id) return parents[id] end, schema = function() return {} end }
  return t
end

local function recorded(fields)
  local range = { table = "bank.trx", table_uuid = "u-1", branch = "main", consumer = "P/J", from = json.null, to = 2, rows = 20 }
  for key, value in pairs(fields) do range[key] = value end
  return pinned.of { run = 5, ranges = { range }, notes = {} }
end

function TestJob:test_a_repeated_run_reads_what_it_read()
  local read = { to = 2, full = false, snapshots = { 1, 2 }, schema_id = 0 }
  self:enter { rehearsal = "reproduce", pinned = recorded { read = read } }
  local batch = increment(with_handle(fake_table { 1, 2, 3 }, { 1, 2, 3 }), { on_gap = "full", max_rows = 1 })
  lu.assertEquals({ batch.snapshots, batch.rows, batch.range.schema_id }, { { 1, 2 }, 20, 0 })
end

--- Snapshot 2 was a compaction: it is in the chain, but not among what was read.
function TestJob:test_a_repeated_window_is_the_same_window()
  local read = { to = 4, full = false, snapshots = { 1, 3, 4 }, schema_id = 0 }
  self:enter { rehearsal = "reproduce", pinned = recorded { from = 2, to = 4, read = read } }
  local range = increment(with_handle(fake_table { 1, 2, 3, 4, 5 }, { 1, 2, 3, 4, 5 })).range
  lu.assertEquals({ range.from, range.to, range.snapshots, range.window.snapshots }, { 2, 4, { 3, 4 }, { 1, 3, 4 } })
end

function TestJob:test_what_cannot_be_read_again_is_named()
  local read = { to = 2, full = false, snapshots = { 1, 2 }, schema_id = 0 }
  self:enter { rehearsal = "reproduce", pinned = recorded { read = read } }
  local t = with_handle(fake_table { 2, 3 }, { 2, 3 })
  lu.assertEquals(test.raises("not found", increment, t).message,
    "table bank.trx: snapshot 1, which run 5 read, was expired; its rows cannot be read again")
  lu.assertStrContains(test.raises("refused", increment, t, { consumer = "other" }).message, "run 5 read no rows of bank.trx for 'other'")
  t.uuid = "u-2"
  lu.assertStrContains(test.raises("not found", increment, t).message, "dropped and made anew (its UUID was u-1, now u-2)")
end

--- All rows of a snapshot need that one alone.
function TestJob:test_a_repeated_full_read_needs_its_end()
  local read = { from = 1, to = 2, full = true, snapshots = {}, schema_id = 0 }
  self:enter { rehearsal = "reproduce", pinned = recorded { from = 1, read = read } }
  local range = increment(with_handle(fake_table { 2 }, { 2 })).range
  lu.assertEquals({ range.full, range.to, range.rows }, { true, 2, 20 })
end

function TestJob:test_what_was_answered_once_is_answered_again()
  local entered = self:enter()
  local versions = { 3, 4 }
  local function ask() return table.remove(versions, 1) end
  lu.assertEquals({ entered:recall("alias", "M@a", ask), entered:recall("alias", "M@a", ask) }, { 3, 4 })
  lu.assertNil(entered:recall("alias", "N@a", function() return nil end))
  self:succeed(entered)
  local details = json.decode(self.state:details(entered.run_id))
  lu.assertEquals(#details.notes, 2)
  local again = self:enter { rehearsal = "reproduce", pinned = pinned.of(details) }
  local function other() return 9 end
  lu.assertEquals(again:recall("alias", "M@a", other), 3)
  lu.assertNil(again:recall("alias", "N@a", other))
  lu.assertEquals(again:recall("alias", "O@a", other), 9)
  again:answer("alias", "M@a", 5) -- the run moved it itself
  lu.assertEquals(again:recall("alias", "M@a", other), 5)
end

function TestJob:test_a_later_attempt_is_answered_as_the_first()
  local later = self:enter { answers = { ["alias:M@a"] = { value = 3 } } }
  lu.assertEquals(later:recall("alias", "M@a", function() return 4 end), 3)
  lu.assertEquals(json.decode(self.state:details(later.run_id)).notes, {})
end

--- An attempt that died after it had logged a model has none.
function TestJob.test_models_are_those_of_the_last_attempt()
  local function logged(attempt, name) return { kind = "logged_model", data = { attempt = attempt, name = name } } end
  local details = { attempt = 2, notes = { logged(1, "model"), { kind = "model", data = {} }, logged(2, "model"), logged(2, "other") } }
  local names = {}
  for i, model in ipairs(pinned.logged(details)) do names[i] = model.name end
  lu.assertEquals(names, { "model", "other" })
end

-- ====== Outputs and inputs ======

function TestJob:test_outputs_merge_and_keep_63_bits()
  local entered = self:enter()
  job.output { id = math.maxinteger, list = { 1, 2, { x = true } } }
  job.output { id = math.mininteger, more = "text" }
  self:succeed(entered)
  local stored = json.decode(self.state:result(entered.run_id)).outputs
  lu.assertEquals(stored, { id = math.mininteger, list = { 1, 2, { x = true } }, more = "text" })
end

function TestJob:test_what_cannot_be_put_out()
  self:enter()
  lu.assertStrContains(test.raises("invalid", job.output, { f = print }).message, "job.output: JSON cannot hold a function")
  lu.assertStrContains(test.raises("invalid", job.output, { n = 0 / 0 }).message, "NaN")
  lu.assertStrContains(test.raises("refused", job.output, { t = ("x"):rep(65536) }).message, "65536 are kept")
  lu.assertStrContains(test.raises("invalid", job.output, { 1, 2 }).message, "name")
  job.output { t = ("x"):rep(60000) }
  test.raises("refused", job.output, { u = ("x"):rep(60000) })
end

function TestJob:test_frames_travel_as_recipes()
  local entered = self:enter()
  local frame = setmetatable({ recipe = function() return { op = "sql", sql = "select 1" } end }, {})
  job.output { test = frame }
  lu.assertEquals(entered.outputs.test, { ["$frame"] = { op = "sql", sql = "select 1" } })
end

function TestJob:test_inputs()
  self:enter { inputs = { A = { on = "success", run = 3, outputs = { id = 5, name = "x" } } } }
  lu.assertEquals({ job.input().id, job.input("A").name, job.input().absent }, { 5, "x" })
  local seen = {}
  for key, value in pairs(job.input()) do seen[key] = value end
  lu.assertEquals(seen, { id = 5, name = "x" })
  lu.assertStrContains(test.raises("not found", job.input, "B").message, "'B'")
end

function TestJob:test_inputs_that_are_not_there()
  self:enter()
  lu.assertStrContains(test.raises("refused", job.input).message, "follows no other job")
  self:enter { inputs = { A = { on = "success" }, B = { on = "always" } } }
  lu.assertStrContains(test.raises("invalid", job.input).message, "A, B")
  lu.assertStrContains(test.raises("refused", job.input, "A").message, "has not succeeded")
  lu.assertNil(job.input "B")
end

function TestJob.test_outside_a_run()
  for _, name in ipairs { "output", "input", "skip", "increment" } do
    lu.assertStrContains(test.raises("refused", job[name], name == "skip" and "x" or {}).message, "mlengine run")
  end
  lu.assertEquals(job.params({ rows = { 5, "rows" } }).rows, 5)
end
