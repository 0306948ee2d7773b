local lu = require "luaunit"
local errors = require "mlengine.error"
local script = require "mlengine.script"
local test = require "mlengine.test"

--- Runs `text` as a script and returns the line a user would see.
local function failure(text)
  local folder <close> = test.folder()
  local ok, e = pcall(script.run, folder:write("job.lua", text))
  lu.assertFalse(ok, text)
  return (errors.line(e):gsub(folder.path:gsub("%p", "%%%0") .. "/", ""))
end

local function result(text)
  local folder <close> = test.folder()
  return script.run(folder:write("job.lua", text))
end

TestStrict = {}

function TestStrict.test_undefined_names_say_line_and_nearest()
  lu.assertEquals(failure "\nprnt(1)", "job.lua:2: undefined variable 'prnt' (did you mean 'print'?)")
  lu.assertEquals(
    failure "local batch = 1\nreturn bacth",
    "job.lua:2: undefined variable 'bacth' (did you mean 'batch'?)"
  )
  lu.assertEquals(
    failure "local rows = 1\nlocal function f() return rows, rwos end\nf()",
    "job.lua:2: undefined variable 'rwos' (did you mean 'rows'?)"
  )
  lu.assertEquals(failure "return zzzzzzzz", "job.lua:1: undefined variable 'zzzzzzzz'")
end

function TestStrict.test_modules_are_hinted_with_their_require()
  for _, module in ipairs { "mlflow", "xgboost", "iceberg", "frame", "job", "deploy", "pipeline", "json", "log" } do
    lu.assertEquals(
      failure("return " .. module),
      ("job.lua:1: undefined variable '%s'; add: local %s = require \"mlengine.%s\""):format(module, module, module)
    )
  end
end

function TestStrict.test_globals_are_not_made()
  lu.assertEquals(failure "x = 1", "job.lua:1: assignment to undeclared variable 'x'; write: local x = ...")
  lu.assertEquals(failure "function f() end", "job.lua:1: assignment to undeclared variable 'f'; write: local f = ...")
end

function TestStrict.test_what_could_leave_the_rules_is_absent()
  local absent = "os.exit, string.dump, package.loadlib, package.cpath, package.preload, package.searchers, "
    .. "debug.sethook, debug.getregistry, debug.setmetatable, debug.getmetatable, debug.upvaluejoin"
  for name in absent:gmatch "[%w.]+" do lu.assertNil(result("return " .. name), name) end
  lu.assertEquals(result "return getmetatable(_G)", "strict globals")
  lu.assertStrContains(failure "setmetatable(_G, nil)", "protected metatable")
end

function TestStrict.test_the_engines_tables_are_out_of_reach()
  result "string.format = nil; table.insert = nil; os.getenv = nil"
  lu.assertNotNil(string.format)
  lu.assertNotNil(table.insert)
  lu.assertNotNil(os.getenv)
end

function TestStrict.test_bytecode_is_refused()
  local bytecode = '"\\27Lua\\x54\\0\\x19\\x93\\r\\n\\x1a\\n"'
  lu.assertStrContains(select(2, result("return load(" .. bytecode .. ")")), "attempt to load a binary chunk")
  lu.assertStrContains(select(2, result("return load(" .. bytecode .. ', "x", "b")')), "attempt to load a binary chunk")
  lu.assertStrContains(failure("\27Lua"), "attempt to load a binary chunk")
  local folder <close> = test.folder()
  local path = folder:write("b.luac", "\27Lua")
  lu.assertStrContains(select(2, result(("return loadfile(%q, 'b')"):format(path))), "attempt to load a binary chunk")
  lu.assertStrContains(failure(("dofile(%q)"):format(path)), "attempt to load a binary chunk")
end

function TestStrict.test_loaded_text_is_strict_too()
  lu.assertStrContains(failure "load('y = 1')()", "undeclared variable 'y'")
  lu.assertEquals(result "return load('return v', 'c', 't', { v = 7 })()", 7)
end

TestScript = {}

function TestScript.test_returns_what_the_script_returns()
  lu.assertEquals({ result "return 1, nil, 3" }, { 1, nil, 3 })
  lu.assertEquals(result "#!/usr/bin/env mlengine\nreturn 5", 5)
  lu.assertEquals(result "\xEF\xBB\xBFreturn 6", 6)
end

function TestScript.test_syntax_errors_have_one_line()
  lu.assertEquals(failure "local = 1", "job.lua:1: <name> expected near '='")
  lu.assertEquals(failure "#!x\n\nfor", "job.lua:3: <name> expected near <eof>")
  lu.assertEquals(test.raises("not found", script.run, "absent.lua").message, "there is no script 'absent.lua'")
end

function TestScript.test_runtime_errors_name_the_users_line()
  lu.assertEquals(failure "local t\nreturn t.x", "job.lua:2: attempt to index a nil value (local 't')")
  lu.assertEquals(failure "error 'plain'", "job.lua:1: plain")
  lu.assertEquals(failure "\nstring.rep()", "job.lua:2: bad argument #1 to 'rep' (string expected, got no value)")
  lu.assertEquals(failure '\nrequire("mlengine.json").encode(print)', "job.lua:2: JSON cannot hold a function")
  lu.assertStrMatches(failure '\n\nrequire("mlengine.check").options({}, {a = "string"}, "f")', "job.lua:3: f needs the option 'a'")
end

function TestScript.test_anything_may_be_thrown()
  lu.assertStrMatches(failure "error {}", "job.lua:1: an error that is a table was raised: table: .*")
  lu.assertEquals(failure "error(nil)", "job.lua:1: an error that is a nil was raised: nil")
  lu.assertStrContains(failure "error(setmetatable({}, { __tostring = function() error 'no' end }))", "a table was raised")
end

function TestScript.test_require_looks_beside_the_script()
  local folder <close> = test.folder()
  folder:write("part/one.lua", "return { v = 41 }")
  local path = folder:write("main.lua", 'return require("part.one").v + 1, require "part.one" == require "part.one"')
  lu.assertEquals({ script.run(path) }, { 42, true })
  folder:write("leaky.lua", "global = 1")
  lu.assertErrorMsgContains("undeclared", script.run, folder:write("b.lua", 'require "leaky"'))
  folder:write("loop.lua", 'require "loop"')
  lu.assertErrorMsgContains("requires itself", script.run, folder:write("c.lua", 'require "loop"'))
end

function TestScript.test_require_names_the_nearest_module()
  lu.assertStrContains(failure 'require "mlengine.jsn"', "(did you mean 'mlengine.json'?)")
  lu.assertStrContains(failure 'require "jsn"', "(did you mean 'mlengine.json'?)")
  lu.assertStrContains(failure 'require "mle.system"', "internal to mlengine")
end

TestEscape = {}

function TestEscape.test_runaway_recursion_ends()
  lu.assertStrMatches(failure "local function f() return 1 + f() end\nf()", "job.lua:1: stack overflow.*")
  lu.assertStrContains(failure "local s = ('x'):rep(300, '(') load('return ' .. ('('):rep(300))() ", "job.lua:1: ")
  lu.assertStrContains(failure "local t = setmetatable({}, {}) getmetatable(t).__index = function(s, k) return s[k] end return t.x", "overflow")
end

function TestEscape.test_errors_in_finalizers_and_closers()
  lu.assertEquals(failure "local x <close> = setmetatable({}, { __close = function() error 'late' end })", "job.lua:1: late")
  lu.assertEquals(result "setmetatable({}, { __gc = function() error 'gc' end }) collectgarbage() return 1", 1)
end

function TestEscape.test_yields_across_c_are_errors()
  lu.assertStrContains(failure "table.sort({ 2, 1 }, function() coroutine.yield() end)", "outside a coroutine")
  lu.assertStrContains(
    failure "local co = coroutine.wrap(function() table.sort({ 2, 1 }, function() coroutine.yield() end) end) co()",
    "yield across a C-call boundary"
  )
end
