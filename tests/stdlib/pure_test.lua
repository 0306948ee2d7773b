local lu = require "luaunit"
local pure = require "mlengine.jobs.pure"
local script = require "mlengine.script"
local test = require "mlengine.test"

--- Whether a script is found to follow from texts alone, and the files it required, by their names.
local function look(text, others)
  local folder <close> = test.folder()
  for name, other in pairs(others or {}) do folder:write(name, other) end
  local path = folder:write("pipeline.lua", text)
  local env = script.environment(script.folder(path))
  local seen, names = pure.watch(env), {}
  script.on_require = function(file, of_it) pure.required(seen, file, of_it) end
  local ok, problem = pcall(script.call, script.load(path, env))
  script.on_require = nil
  lu.assertTrue(ok, text .. ": " .. tostring(problem))
  for i, file in ipairs(seen.files) do names[i] = file.path:match "[^/]+$" end
  return pure.is_all(seen), names
end

TestPure = {}

function TestPure.test_what_only_computes_is_pure()
  for _, text in ipairs {
    "", "return { ('x'):rep(3), math.max(1, 2), table.concat { 'a' }, utf8.char(65) }",
    'local pipeline = require "mlengine.pipeline" return pipeline', "return select('#', pcall(error, 'x'))",
    "local f = load 'return 1 + 1' return f()", "return package.path", "return coroutine.wrap(function() return 1 end)()",
  } do
    lu.assertTrue(look(text), text)
  end
end

function TestPure.test_what_reaches_out_is_not()
  for _, text in ipairs {
    "return os.getenv 'HOME'", "return os.time()", "local o = os return o.clock", "return io.open('/etc/hostname')", "print 'x'",
    "return math.random()", "return collectgarbage 'count'", "return debug.getinfo(1)", "local l = require 'os' return l.time",
    "return _G.os.date()", "for name in pairs(os) do return name end", "local f = load 'return os.time()' return f()", "os.mine = 1",
    "pcall(loadfile, 'x.lua')", "pcall(require, 'not_there_yet')", "return require 'mlengine.http'", "return require 'mlengine.frame'",
    "return require('os').time", "warn 'x'", "package.path = './lib/?.lua'",
  } do
    lu.assertFalse(look(text), text)
  end
end

function TestPure.test_files_it_requires_are_known_and_watched()
  local is, names = look("return require 'a'", { ["a.lua"] = "return require 'b'", ["b.lua"] = "return 1" })
  lu.assertTrue(is)
  lu.assertEquals(names, { "a.lua", "b.lua" })
  lu.assertFalse(look("return require 'a'", { ["a.lua"] = "return os.time()" }))
  lu.assertFalse(look("return require 'a'", { ["a/init.lua"] = "return 1" }), "a.lua may come, and would be taken")
end
