--- The prompt's parts: what compiles, what completes, what is shown.

local lu = require "luaunit"
local complete = require "mlengine.repl.complete"
local show = require "mlengine.repl.show"
local worlds = require "mlengine.repl.world"

local function run(world, text)
  local chunk, open, problem = worlds.compile(text, world.values)
  lu.assertNotNil(chunk, ("%s: %s"):format(text, problem or open))
  return chunk()
end

TestWorld = {}

function TestWorld.test_an_expression_gives_its_values()
  lu.assertEquals({ run(worlds.new ".", "1, 'x'") }, { 1, "x" })
end

function TestWorld.test_a_line_beginning_with_local_keeps_its_names()
  local world = worlds.new "."
  run(world, "local a, b <const> = 1, 2")
  run(world, "local t <close> = setmetatable({}, { __close = function() end })")
  run(world, "local function f(x) return x + a + b end")
  lu.assertEquals(run(world, "f(1)"), 4)
  lu.assertEquals(run(world, "type(t)"), "table")
end

function TestWorld.test_an_undefined_name_is_an_error()
  local ok, e = pcall(run, worlds.new ".", "not_there")
  lu.assertFalse(ok)
  lu.assertStrContains(tostring(e), "undefined variable 'not_there'")
end

function TestWorld.test_functions_hide_modules_of_their_name()
  lu.assertEquals(run(worlds.new ".", "type(error)"), "function")
  lu.assertEquals(run(worlds.new ".", "type(json.encode)"), "function")
end

function TestWorld.test_open_texts_ask_for_more()
  for _, text in ipairs { "for i = 1, 2 do", "t = {", "f(1,", "x = [[a", "if true then" } do
    local chunk, open = worlds.compile(text, {})
    lu.assertNil(chunk)
    lu.assertTrue(open, text)
  end
end

function TestWorld.test_mistakes_are_those_of_what_was_meant()
  local function problem(text)
    local chunk, open, what = worlds.compile(text, {})
    lu.assertNil(chunk)
    lu.assertFalse(open)
    return what
  end
  lu.assertStrContains(problem "1 +* 2", "near '*'")
  lu.assertStrContains(problem "for x y", "near 'y'")
  lu.assertStrContains(problem "x = ) 1", "near ')'")
end

TestComplete = {}

local function completing(text, values)
  local world = worlds.new "."
  for name, value in pairs(values or {}) do world.values[name] = value end
  return complete.complete(text, world)
end

function TestComplete.test_what_is_unique_is_inserted()
  lu.assertEquals(completing "print(mlf", "low")
  lu.assertEquals(completing "string.form", "at")
  lu.assertEquals(completing("s:upp", { s = "text" }), "er")
  lu.assertEquals(completing("t.inner.lon", { t = { inner = { long_name = 1 } } }), "g_name")
end

function TestComplete.test_a_choice_is_inserted_as_far_as_it_goes_then_listed()
  local values = { t = { alpha_one = 1, alpha_two = 2 } }
  lu.assertEquals(completing("t.al", values), "pha_")
  local insert, list = completing("t.alpha_", values)
  lu.assertNil(insert)
  lu.assertEquals(list, "alpha_one  alpha_two")
end

function TestComplete.test_nothing_to_say_is_nothing()
  for _, text in ipairs { "not_there.x", "('x'):", "1 + ", "t.x.y.z" } do
    local insert = completing(text == "1 + " and "zzz" or text, { t = {} })
    lu.assertNil(insert, text)
  end
end

TestShow = {}

function TestShow.test_values()
  lu.assertEquals(show.text(42), "42")
  lu.assertEquals(show.text 'a"b\n', [["a\"b\n"]])
  lu.assertEquals(show.text { 1, "x", b = true, a = {} }, '{ 1, "x", a = {}, b = true }')
  lu.assertEquals(show.text { [2.5] = 1, ["not a name"] = 2 }, '{ [2.5] = 1, ["not a name"] = 2 }')
  lu.assertEquals(show.text(setmetatable({}, { __tostring = function() return "a thing" end })), "a thing")
end

function TestShow.test_tables_that_hold_themselves_and_deep_ones()
  local t = { name = "t" }
  t.self = t
  lu.assertEquals(show.text(t), '{ name = "t", self = {…} }')
  lu.assertEquals(show.text { { { { 1 } } } }, "{ { { {…} } } }")
end

function TestShow.test_long_tables_are_cut()
  local t = {}
  for i = 1, 80 do t[i] = i end
  lu.assertStrContains(show.text(t), "… 30 more")
end
