local lu = require "luaunit"
local pipeline = require "mlengine.pipeline"
local test = require "mlengine.test"

local function refused(kind, jobs, ...)
  local e = test.raises(kind, pipeline.new, { name = "P", jobs = jobs })
  for _, word in ipairs { ... } do lu.assertStrContains(e.message, word) end
  return e
end

TestPipeline = {}

function TestPipeline.test_jobs_come_in_an_order_that_works()
  local made = pipeline.new {
    name = "P",
    jobs = {
      { name = "C", script = "c.lua", after = { "A", { "B", on = "always" } } },
      { name = "B", script = "b.lua", after = "A", timeout = "15m", resources = { cpu = 2, memory = "4GiB", gpu = 0 } },
      { name = "A", script = "a.lua", params = { rows = 5 } },
    },
  }
  lu.assertTrue(pipeline.is(made))
  local names = {}
  for i, job in ipairs(made:data().jobs) do names[i] = job.name end
  lu.assertEquals(names, { "A", "B", "C" })
  lu.assertEquals(made.jobs[3].after, { { name = "A", on = "success" }, { name = "B", on = "always" } })
  lu.assertEquals(made.jobs[2].resources, { cpu = 2, memory = 4 << 30, gpu = 0 })
end

function TestPipeline.test_mistakes_are_named()
  refused("invalid", {}, "needs jobs")
  refused("invalid", { { name = "A" } }, "job 'A'", "script or a command")
  refused("invalid", { { name = "A", script = "a", aftr = "B" } }, "aftr", "'after'")
  refused("invalid", { { name = "A", script = "a" }, { name = "A", script = "b" } }, "two jobs", "'A'")
  refused("invalid", { { name = "Retrain", script = "a" }, { name = "B", script = "b", after = "Retrian" } }, "'Retrian'", "'Retrain'")
  refused("invalid", { { name = "A", script = "a", after = { { "B", on = "succes" } } } }, "succes", "'success'")
  refused("invalid", { { name = "A", script = "a", after = { { "B", onn = "failure" } } } }, "onn", "'on'")
  refused("invalid", { { name = "A", script = "a", after = { "B", "B" } }, { name = "B", script = "b" } }, "twice")
  refused("invalid", { { name = "a/b", script = "a" } }, "'/'")
  refused("invalid", { { name = "A", script = "a", timeout = "soon" } }, "soon", "15m")
  refused("invalid", { { name = "A", script = "a", resources = { memory = "much" } } }, "much", "4GiB")
  refused("invalid", { { name = "A", script = "a", resources = { gpu = -1 } } }, "at least 0")
end

function TestPipeline.test_fields_that_are_wrong()
  local function one(fields, ...)
    fields.name, fields.script = "A", not fields.command and "a" or nil
    refused("invalid", { fields, { name = "Retrain", script = "b" } }, "job 'A'", ...)
  end
  one({ command = {} }, "python3")
  one({ command = { "python3", 5 } }, "list of strings")
  refused("invalid", { { name = "A", script = "a", command = { "b" } } }, "script or a command")
  one({ env = { ["A-B"] = 1 } }, "A-B")
  one({ env = { A = {} } }, "env.A")
  one({ secrets = { TOKEN = { fil = "x" } } }, "fil", "'file'")
  one({ secrets = { TOKEN = {} } }, "secrets.TOKEN", "where it is")
  refused("invalid", { { name = "A", script = "a", inputs = { model = "Retrian" } }, { name = "Retrain", script = "b" } },
    "'Retrian'", "'Retrain'")
  one({ enabled = "no" }, "boolean")
  one({ concurrency = { grup = "x" } }, "grup", "'group'")
  one({ concurrency = { group = "x", max = 0 } }, "from 1")
  one({ notify = { on = "failur", webhook = "https://x" } }, "failur", "'failure'")
  one({ notify = { on = "failure" } }, "webhook, email and call")
  one({ notify = { webhok = "https://x" } }, "webhok", "'webhook'")
  one({ notify = { webhook = "ftp://x" } }, "http")
  one({ notify = { email = "nobody" } }, "nobody")
end

function TestPipeline.test_a_secret_that_is_written_down_is_not_repeated()
  local ok, e = pcall(pipeline.new, { name = "P", jobs = { { name = "A", script = "a", secrets = { TOKEN = "hunter2hunter2" } } } })
  lu.assertFalse(ok)
  lu.assertStrContains(e.message, "say where it is")
  lu.assertNotStrContains(e.message, "hunter2")
end

function TestPipeline.test_inputs_are_followed()
  local jobs = pipeline.new { name = "P", jobs = {
    { name = "B", script = "b", inputs = { model = "A", also = "A" } }, { name = "A", script = "a" },
  } }:data().jobs
  lu.assertEquals(jobs[1].name, "A")
  lu.assertEquals(jobs[2].after, { { name = "A", on = "success" } })
  lu.assertEquals(jobs[2].aliases, { model = "A", also = "A" })
end

function TestPipeline.test_environments_are_merged_over()
  local options = {
    name = "P",
    jobs = { { name = "A", script = "a", params = { rows = 1, mode = "x" }, after = { "B" }, timeout = 5 }, { name = "B", script = "b" } },
    environments = { prod = { jobs = { A = { params = { rows = 100 }, after = {}, timeout = "1h" } } }, dev = {} },
  }
  local made = pipeline.new(options)
  lu.assertEquals(made:data().name, "P")
  lu.assertEquals(made:data "dev".name, "P@dev")
  local prod = made:data "prod"
  local a = prod.jobs[1]
  lu.assertEquals({ prod.name, prod.environment, a.name, a.params, a.after, a.timeout }, { "P@prod", "prod", "A", { rows = 100, mode = "x" }, {}, "1h" })
  test.raises("usage", made.data, made, "prd")
  for _, wrong in ipairs { { prod = { jobs = { C = {} } } }, { prod = { jbs = {} } }, { prod = { jobs = { A = { tmeout = 1 } } } }, { ["a b"] = {} } } do
    options.environments = wrong
    test.raises("invalid", pipeline.new, options)
  end
end

function TestPipeline.test_functions_stay_behind()
  local call = function() end
  local made = pipeline.new { name = "P", jobs = { { name = "A", script = "a", notify = { { call = call }, { on = "skip", webhook = "https://h/secret" } } } } }
  lu.assertEquals(made:data().jobs[1].notify, { { on = { failure = true, timeout = true } }, { on = { skip = true } } })
  lu.assertEquals(made:notification("A", 1), { call = call })
  lu.assertEquals(made:notification("A", 2), { webhook = "https://h/secret" })
  lu.assertNil(made:notification("A", 3))
end

function TestPipeline.test_schedules()
  local made = pipeline.new { name = "P", jobs = {
    { name = "A", script = "a", schedule = "manual" },
    { name = "B", script = "a", schedule = "0 13 * * mon" },
    { name = "C", script = "a", schedule = { cron = "@daily", timezone = "Europe/Berlin", catchup = true, overlap = "queue" } },
    { name = "D", script = "a", schedule = pipeline.on_snapshot "bank.cc_trx" },
  } }
  local jobs = made:data().jobs
  lu.assertNil(jobs[1].schedule)
  lu.assertEquals(jobs[2].schedule, { kind = "cron", cron = "0 13 * * mon", timezone = "UTC", catchup = false, overlap = "skip" })
  lu.assertEquals(jobs[3].schedule, { kind = "cron", cron = "@daily", timezone = "Europe/Berlin", catchup = true, overlap = "queue" })
  lu.assertEquals(jobs[4].schedule, { kind = "snapshot", table = "bank.cc_trx", branch = "main", overlap = "queue" })
end

function TestPipeline.test_schedules_that_are_wrong()
  local function one(schedule, ...) refused("invalid", { { name = "A", script = "a", schedule = schedule } }, "job 'A'", ...) end
  one("sometimes", "5", "minute")
  one("0 13 * * 8", "day of the week")
  one({ cron = "@daily", timezone = "Europe/Berln" }, "Europe/Berln")
  one({ cron = "@daily", timezon = "UTC" }, "timezon", "'timezone'")
  one({ cron = "@daily", overlap = "quue" }, "'queue'")
  one({}, "'cron'")
  one(5, "schedule")
  test.raises("invalid", pipeline.on_snapshot, "cc_trx")
  test.raises("invalid", pipeline.on_snapshot, "bank.cc_trx", { overlap = "never" })
end

function TestPipeline.test_cycles_are_drawn()
  refused("invalid", {
    { name = "A", script = "a", after = "C" }, { name = "B", script = "b", after = "A" },
    { name = "C", script = "c", after = "B" }, { name = "D", script = "d" },
  }, "'A' after 'C' after 'B' after 'A'")
  refused("invalid", { { name = "A", script = "a", after = "A" } }, "'A' after 'A'")
end

--- Whatever the graph, parents come first, and each job once.
function TestPipeline.test_random_graphs()
  math.randomseed(7)
  for _ = 1, 200 do
    local jobs, count = {}, math.random(1, 12)
    for i = 1, count do
      local after = {}
      for j = 1, i - 1 do
        if math.random() < 0.3 then after[#after + 1] = "J" .. j end
      end
      table.insert(jobs, math.random(1, #jobs + 1), { name = "J" .. i, script = "x", after = after })
    end
    local seen, made = {}, pipeline.new { name = "P", jobs = jobs }
    for _, job in ipairs(made.jobs) do
      for _, parent in ipairs(job.after) do lu.assertTrue(seen[parent.name], job.name .. " before " .. parent.name) end
      lu.assertNil(seen[job.name])
      seen[job.name] = true
    end
    lu.assertEquals(#made.jobs, count)
  end
end
