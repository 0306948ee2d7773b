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
}

function TestLint.test_cases()
  for _, case in ipairs(cases) do
    lu.assertEquals(problems(case[1]), { table.unpack(case, 2) }, case[1])
  end
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
