local lu = require "luaunit"
local lint = require "mlengine.lint"
local test = require "mlengine.test"

--- The problems of a text, one "line: message" each.
local function problems(text)
  local lines = {}
  for _, p in ipairs(lint.text(text, "job.lua").problems) do
    lines[#lines + 1] = ("%d: %s%s"):format(p.line, p.warning and "warning: " or "", p.message)
  end
  return lines
end

TestLint = {}

--- Each script and what is wrong with it.
local cases <const> = {
  { "print(x)", "1: undefined variable 'x'" },
  { "\n\nlocal batch = 1\nprint(bacth, batch)", "4: undefined variable 'bacth' (did you mean 'batch'?)" },
  { "local a = 1\ndo local b = a end\nprint(b)", "2: warning: variable 'b' is not used; remove it, or begin its name with _", "3: undefined variable 'b'" },
  { "x = 1", "1: assignment to undeclared variable 'x'; write: local x = ..." },
  { "local a, b = 1\na, c = b, a", "2: assignment to undeclared variable 'c'; write: local c = ..." },
  { "function f() end", "1: assignment to undeclared variable 'f'; write: local f = ..." },
  { "return json.decode '1'", "1: undefined variable 'json'; add: local json = require \"mlengine.json\"" },
  { "return os.exit", nil },
  { "local t = {} function t.a.b:c(d) return self, d end", nil },
  { "for i = 1, 2 do print(i) end print(i)", "1: undefined variable 'i'" },
  { "for _, v in ipairs {} do print(v) end", nil },
  { "repeat local done = true until done", nil },
  { "local function f() return f() end", "1: warning: function 'f' is not used; remove it, or begin its name with _" },
  { "local f = function() return f() end return f", "1: undefined variable 'f'" },
  { "local x <close> = nil", nil },
  { "local x <const> = 1", "1: warning: variable 'x' is not used; remove it, or begin its name with _" },
  { "local _x = 1 local _ = 2", nil },
  { "goto done ::done::", nil },
  { "while true do break end", nil },
  { "local t = { a = 1, ['b'] = 2, [3] = 4; 5 } return t.a.b['c'][t]:d 'e' { 6 } (7)", nil },
  { "return 1 + 2 ^ -3 .. 'x' == not #'y' and ~1 << 2 // 3 or 0x1p-4, 0xA.8, 1e10, 3., .5", nil },
  { "--[==[ ]] \n ]==] return [[\n]], '\\'', \"\\\\\", 'a\\\nb', nope", "4: undefined variable 'nope'" },
  { "-- a comment\n--[ not long\nreturn nope", "3: undefined variable 'nope'" },
  { "return function(...) return select('#', ...) end", nil },
  { 'require "mle.json"', "1: 'mle.json' is internal to mlengine; scripts require \"mlengine.…\" modules" },
  { 'local j = require "mlengine.jsno" return j', "1: there is no module 'mlengine.jsno' (did you mean 'mlengine.json'?)" },
  { 'local j = require "nothere" return j', "1: there is no module 'nothere' beside the script" },
  { 'local s = require "string" return s', nil },
  { 'local json = require "mlengine.json" json.decoed "1"', "1: mlengine.json has no 'decoed' (did you mean 'decode'?)" },
  { 'local json, log = require "mlengine.json", require "mlengine.log"\nlog.inof(json.null)', "2: mlengine.log has no 'inof' (did you mean 'info'?)" },
  { 'require("mlengine.json").encdoe(1)', "1: mlengine.json has no 'encdoe' (did you mean 'encode'?)" },
  { 'local json = require "mlengine.json" json = {} json.x()', nil },
  { 'local job = require "mlengine.job"\nlocal p = job.params { rows = { 1 } }\nprint(p.rwos, p.rows)', "3: parameter 'rwos' is not declared in job.params (did you mean 'rows'?)" },
  { 'local job = require "mlengine.job" job.increment(t, { on_gpa = "full" })', "1: job.increment has no option 'on_gpa' (did you mean 'on_gap'?)", "1: undefined variable 't'" },
  { 'local x = require "mlengine.xgboost"\nreturn x.train {\n  num_boost_rounds = 1 }', "3: xgboost.train has no option 'num_boost_rounds' (did you mean 'num_boost_round'?)" },
  { 'local d = require "mlengine.deploy" return d.not_worse { mertic = "auc" }, d.local_server { prot = 1 }', "1: deploy.local_server has no option 'prot' (did you mean 'port'?)", "1: deploy.not_worse has no option 'mertic' (did you mean 'metric'?)" },
  { 'local c = require("mlengine.iceberg").catalog()\nreturn c:load_tabel "a.b"', "2: there is no method 'load_tabel' (did you mean 'load_table'?)" },
  { 'local a, b = require("mlengine.frame").read("x"):split { tset = 0.3 } return a:haed(1), b:head(1)', "1: frame:split has no option 'tset' (did you mean 'test'?)", "1: there is no method 'haed' (did you mean 'head'?)" },
  { 'local m = require "mlengine.mlflow" local run <close> = m.start_run { experimnt = "x" } run:log_model(m, { nmae = 1 })', "1: mlflow.start_run has no option 'experimnt' (did you mean 'experiment'?)", "1: run:log_model has no option 'nmae' (did you mean 'name'?)" },
  { 'local s = require("mlengine.json").encode {} return s:sub(1), s:upper()', nil },
  { 'local t = { anything = print } t:anything { sede = 1 } t:split { sede = 1 }', nil },
}

function TestLint.test_cases()
  for _, case in ipairs(cases) do
    lu.assertEquals(problems(case[1]), { table.unpack(case, 2) }, case[1])
  end
end

local job_script <const> = "local job = require 'mlengine.job'\njob.output {}\n"

--- The problems of a pipeline whose jobs are `jobs`, a Lua list; its scripts are there.
local function pipeline_problems(jobs)
  local folder <close> = test.folder()
  folder:write("a.lua", job_script)
  folder:write("b.lua", job_script)
  local path = folder:write("pipeline.lua", "local pipeline = require 'mlengine.pipeline'\nreturn pipeline.new {\n  name = 'P',\n  jobs = " .. jobs .. ",\n}\n")
  local result = lint.script(path)
  lu.assertEquals(result.problems, {})
  local pipelines, lines = require "mlengine.lint.pipeline", {}
  lu.assertTrue(pipelines.is_pipeline(result))
  for _, p in ipairs(pipelines.problems(result)) do
    lines[#lines + 1] = ("%s:%d: %s"):format(p.path, p.line, p.message):gsub(folder.path:gsub("%p", "%%%0") .. "/", "")
  end
  return lines
end

function TestLint.test_pipelines()
  lu.assertEquals(pipeline_problems "{ { name = 'A', script = 'a.lua' }, { name = 'B', script = 'b.lua', after = 'A' } }", {})
  lu.assertEquals(
    pipeline_problems "{\n{ name = 'Aa1', script = 'a.lua' },\n{ name = 'B', script = 'b.lua', after = 'Aa2' } }",
    { "pipeline.lua:6: job 'B' comes after 'Aa2', which is not a job (did you mean 'Aa1'?)" }
  )
  lu.assertEquals(
    (pipeline_problems "{\n{ name = 'A', script = 'a.lua', after = 'B' },\n{ name = 'B', script = 'b.lua', after = { { 'A', on = 'failure' } } } }")[1]:match "jobs wait for each other",
    "jobs wait for each other"
  )
  lu.assertEquals(
    pipeline_problems "{\n{ name = 'A', script = 'a.lua' },\n{ name = 'A', script = 'b.lua' } }",
    { "pipeline.lua:6: there are two jobs named 'A'" }
  )
  lu.assertEquals(pipeline_problems "{\n{ name = 'A', script = 'c.lua' } }", { "pipeline.lua:5: there is no script 'c.lua'" })
  lu.assertStrContains((pipeline_problems "{ { name = 'A', script = 'a.lua', aftr = 'B' } }")[1], "(did you mean 'after'?)")
  lu.assertStrContains((pipeline_problems "{}")[1], "a pipeline needs jobs")
end

function TestLint.test_a_jobs_mistakes_are_the_pipelines()
  local folder <close> = test.folder()
  folder:write("a.lua", "prnt(1)")
  local text = "return require('mlengine.pipeline').new { name = 'P', jobs = { { name = 'A', script = 'a.lua' } } }"
  local result = lint.script(folder:write("p.lua", text))
  local found = require("mlengine.lint.pipeline").problems(result)
  lu.assertEquals({ found[1].path, found[1].message }, { folder.path .. "/a.lua", "undefined variable 'prnt' (did you mean 'print'?)" })
end

function TestLint.test_what_does_not_compile_is_one_problem()
  local folder <close> = test.folder()
  local found = lint.script(folder:write("a.lua", "\nlocal x =")).problems
  lu.assertEquals(#found, 1)
  lu.assertEquals(found[1].line, 2)
  lu.assertStrContains(found[1].message, "unexpected symbol near <eof>")
end

function TestLint.test_modules_beside_the_script_are_found()
  local folder <close> = test.folder()
  folder:write("features.lua", "return {}")
  local path = folder:write("a.lua", 'local f = require "features" return f')
  lu.assertEquals(lint.script(path).problems, {})
end

--- The standard library keeps the rules it gives to scripts.
function TestLint.test_the_standard_library_is_clean()
  local found = {}
  local pipe <close> = assert(io.popen "find stdlib/mlengine -name '*.lua'")
  for path in pipe:lines() do
    for _, p in ipairs(lint.script(path).problems) do
      local internal = p.message:find "internal to mlengine" or p.message:find "'luaunit'"
        or p.message:find "no module 'mlengine%.%a+'" -- one that is announced in strict.modules
      if not internal then found[#found + 1] = ("%s:%d: %s"):format(p.path, p.line, p.message) end
    end
  end
  lu.assertEquals(found, {})
end

function TestLint.test_the_whole_api_is_no_mistake()
  lu.assertEquals(lint.script("tests/stdlib/whole_api.lua").problems, {})
end

--- A text with some of its pieces removed, doubled or moved.
local function mutant(text, random)
  for _ = 1, random(3) do
    local from = random(#text)
    local to = math.min(#text, from + random(12))
    local piece, at = text:sub(from, to), random(#text)
    local choice = random(3)
    if choice == 1 then text = text:sub(1, from - 1) .. text:sub(to + 1) end
    if choice == 2 then text = text:sub(1, at) .. piece .. text:sub(at + 1) end
    if choice == 3 then text = text:sub(1, from - 1) .. text:sub(to + 1, at) .. piece .. text:sub(math.max(at, to) + 1) end
    if #text == 0 then return " " end
  end
  return text
end

--- The parser trusts that a text compiles; whatever compiles, it must get through.
function TestLint.test_mutants_that_compile()
  local sources, compiled = {}, 0
  for i, case in ipairs(cases) do sources[i] = case[1] end
  sources[#sources + 1] = assert(io.open "scripts/fraud/retrain.lua"):read "a"
  sources[#sources + 1] = assert(io.open "stdlib/mlengine/lint/lexer.lua"):read "a"
  math.randomseed(11)
  for i = 1, 4000 do
    local text = mutant(sources[i % #sources + 1], math.random)
    if load(text, "=mutant", "t") then
      compiled = compiled + 1
      local ok, problem = pcall(lint.text, text, "mutant.lua")
      lu.assertTrue(ok, tostring(problem) .. " in\n" .. text)
    end
  end
  lu.assertTrue(compiled > 500)
end
