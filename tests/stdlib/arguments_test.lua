local lu = require "luaunit"
local arguments = require "mlengine.arguments"
local test = require "mlengine.test"

local known <const> = { ["--json"] = "flag", ["--skip-code"] = "N", ["-p"] = "list" }
local USAGE <const> = "mlengine x [--json] FILE"

local function parse(...) return arguments.parse({ ... }, known, USAGE, { 0, 2 }) end

local function complaint(...) return test.raises("usage", parse, ...).message end

TestArguments = {}

function TestArguments.test_flags_values_and_lists()
  local options, rest = parse("a", "--json", "-p", "x=1", "--skip-code=3", "-p", "y=--json", "b")
  lu.assertEquals(options, { json = true, skip_code = "3", p = { "x=1", "y=--json" } })
  lu.assertEquals(rest, { "a", "b" })
end

function TestArguments.test_nothing_is_an_option_after_two_dashes()
  local options, rest = parse("--", "--json", "-p")
  lu.assertEquals(options, {})
  lu.assertEquals(rest, { "--json", "-p" })
  lu.assertEquals(select(2, parse "-"), { "-" })
end

function TestArguments.test_mistakes_say_the_usage()
  lu.assertEquals(complaint "--jsn", "there is no option '--jsn' (did you mean '--json'?); usage: " .. USAGE)
  lu.assertEquals(complaint "--json=1", "option '--json' takes no value; usage: " .. USAGE)
  lu.assertEquals(complaint "-p", "option '-p' needs a value; usage: " .. USAGE)
  lu.assertEquals(complaint("a", "b", "c"), "unexpected argument 'c'; usage: " .. USAGE)
  lu.assertEquals(complaint "--100%", "there is no option '--100%'; usage: " .. USAGE)
end

function TestArguments.test_a_long_usage_is_only_named()
  local e = test.raises("usage", arguments.parse, { "--x" }, {}, "mlengine x A\nmlengine x B")
  lu.assertStrContains(e.message, "mlengine x --help shows the usage")
end
