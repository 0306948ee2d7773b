local lu = require "luaunit"
local params = require "mlengine.params"
local test = require "mlengine.test"

local specs = {
  rows = { 10000, "rows in the batch", min = 1 },
  share = { 0.3, "test share", min = 0, max = 0.9 },
  file = { nil, "a file", type = "string" },
  mode = { "full", "what to read", enum = { "full", "new" } },
  fast = { false, "less" },
}

local function refused(given, ...)
  local e = test.raises("usage", params.resolve, specs, given)
  for _, word in ipairs { ... } do lu.assertStrContains(e.message, word) end
end

TestParams = {}

function TestParams.test_defaults_and_texts()
  local p = params.resolve(specs, {})
  lu.assertEquals({ p.rows, p.share, p.file, p.mode, p.fast }, { 10000, 0.3, nil, "full", false })
  p = params.resolve(specs, { rows = "9223372036854775807", share = "0", file = "a=b.csv", fast = "true", mode = "new" })
  lu.assertEquals({ p.rows, p.share, p.file, p.mode, p.fast }, { math.maxinteger, 0, "a=b.csv", "new", true })
  lu.assertEquals(params.resolve(specs, { rows = 5.0, share = 0.5 }).rows, 5)
end

function TestParams.test_refusals()
  refused({ row = "5" }, "'row'", "'rows'")
  refused({ rows = "0" }, "rows", "at least 1")
  refused({ rows = "many" }, "rows", "whole number", "many")
  refused({ rows = "1.5" }, "whole number")
  refused({ rows = true }, "whole number")
  refused({ share = "0.91" }, "at most 0.9")
  refused({ share = "nan" }, "number")
  refused({ mode = "old" }, "one of full, new")
  refused({ fast = "yes" }, "true or false")
end

function TestParams.test_bad_declarations()
  lu.assertStrContains(test.raises("invalid", params.resolve, { x = { nil, "help" } }, {}).message, "needs a type")
  lu.assertStrContains(test.raises("invalid", params.resolve, { x = { 1, "help", type = "int" } }, {}).message, "'int'")
  lu.assertStrContains(test.raises("invalid", params.resolve, { x = { 1, "help", mn = 0 } }, {}).message, "'mn'")
  lu.assertStrContains(test.raises("invalid", params.resolve, { x = 5 }, {}).message, "table")
  lu.assertStrContains(test.raises("invalid", params.resolve, { x = { {}, "help" } }, {}).message, "table")
end

function TestParams.test_reading_an_undeclared_one_is_an_error()
  local p = params.resolve(specs, {})
  lu.assertStrContains(test.raises("undefined", function() return p.row end).message, "'rows'")
end

-- ====== From a script's text ======

function TestParams.test_declarations_are_read_without_running_the_script()
  local found = params.declared [==[
    local job = require "mlengine.job"
    -- job.params { not_this = { 1 } }
    --[[ job.params { nor_this = { 1 } } ]]
    local text = "job.params { nor_that = { 1 } }" .. [[ job.params { x = 1 } ]]
    error "this never runs"
    local p = job.params { rows = { 10000, "rows { in } the \"batch\"", min = 1 }, -- a comment }
      file = { nil, "a file", type = "string" } }
  ]==]
  lu.assertEquals(found.rows, { 10000, "rows { in } the \"batch\"", min = 1 })
  lu.assertEquals(found.file, { [2] = "a file", type = "string" })
  lu.assertNil(found.not_this)
end

function TestParams.test_none_and_computed_ones()
  lu.assertEquals(params.declared "return 1", {})
  lu.assertNil(params.declared "job.params(specs)")
  lu.assertNil(params.declared "job.params { rows = { os.time(), 'x' } }")
  lu.assertNil(params.declared "job.params { rows = { 1, 'x' }")
  lu.assertNil(params.declared "job.params { a = { (function() while true do end end)() } }")
end

function TestParams.test_help()
  local help = params.help { rows = specs.rows, mode = specs.mode }
  lu.assertStrContains(help, "-p rows=VALUE")
  lu.assertStrContains(help, "(integer, default 10000, at least 1)")
  lu.assertStrContains(help, "one of full, new")
end

function TestParams.test_which_text_is_a_pipeline()
  local yes = { 'local p = require "mlengine.pipeline"', "require('mlengine.pipeline')", "require [[mlengine.pipeline]]" }
  local no = { '-- require "mlengine.pipeline"', 'local s = "require mlengine.pipeline"', 'require "mlengine.job"', "" }
  for _, text in ipairs(yes) do lu.assertTrue(params.requires(text, "mlengine.pipeline"), text) end
  for _, text in ipairs(no) do lu.assertFalse(params.requires(text, "mlengine.pipeline"), text) end
end
