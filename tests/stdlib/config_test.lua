local lu = require "luaunit"
local config = require "mlengine.config"
local project = require "mlengine.project"
local system = require "mle.system"
local test = require "mlengine.test"

--- Makes a project with that configuration the current one.
local function use(folder, text)
  local path = folder:write("mlengine.conf.lua", text)
  project.use(folder.path)
  config.reload()
  return path
end

local function refusal(kind, text, question)
  local folder <close> = test.folder()
  use(folder, text)
  return (test.raises(kind, question or config.tracking_uri).message:gsub(folder.path:gsub("%p", "%%%0") .. "/", ""))
end

TestProject = {}

function TestProject.test_nearest_folder_with_a_configuration()
  local folder <close> = test.folder()
  folder:write("mlengine.conf.lua", "")
  local deep = folder:write("a/b/job.lua", "")
  lu.assertEquals(project.find(deep).root, folder.path)
  lu.assertEquals(project.find(deep).state, folder.path .. "/.mlengine")
  folder:write("a/mlengine.conf.lua", "")
  lu.assertEquals(project.find(deep).root, folder.path .. "/a")
end

function TestProject.test_else_the_working_folder()
  local folder <close> = test.folder()
  local found = project.find(folder:write("job.lua", ""))
  lu.assertEquals(found.root, system.absolute ".")
  lu.assertNil(found.config)
end

function TestProject.test_state_folder_is_private()
  local folder <close> = test.folder()
  use(folder, "")
  local state = project.make_state()
  lu.assertEquals(system.stat(state).mode, tonumber("700", 8))
  lu.assertEquals(project.make_state(), state)
end

TestConfig = {}

function TestConfig.tearDown()
  project.use()
  config.reload()
end

function TestConfig.test_defaults()
  local folder <close> = test.folder()
  use(folder, "")
  lu.assertEquals(config.catalog(), {
    type = "sql",
    uri = "sqlite:///" .. folder.path .. "/.mlengine/catalog.db",
    warehouse = "file://" .. folder.path .. "/.mlengine/warehouse",
  })
  lu.assertEquals(config.tracking_uri(), "sqlite:///" .. folder.path .. "/mlflow.db")
  lu.assertEquals(config.serving(), { host = "127.0.0.1", port = 8700 })
end

function TestConfig.test_the_file_sets()
  local folder <close> = test.folder()
  use(folder, [[
    catalogs = { default = { uri = "sqlite:////srv/c.db", warehouse = "file:///srv/w" }, lake = { uri = "https://h/c", ["s3.region"] = "eu", n = 5 } }
    mlflow = { tracking_uri = "http://127.0.0.1:5000" }
    serving = { port = 9000 }
  ]])
  lu.assertEquals(config.catalog(), { type = "sql", uri = "sqlite:////srv/c.db", warehouse = "file:///srv/w" })
  lu.assertEquals(config.catalog "lake", { type = "rest", uri = "https://h/c", ["s3.region"] = "eu", n = "5" })
  lu.assertEquals(config.tracking_uri(), "http://127.0.0.1:5000")
  lu.assertEquals(config.serving(), { host = "127.0.0.1", port = 9000 })
end

function TestConfig.test_a_returned_table_is_the_same()
  local folder <close> = test.folder()
  use(folder, "return { serving = { port = 9001 } }")
  lu.assertEquals(config.serving().port, 9001)
end

function TestConfig.test_flags_win()
  local folder <close> = test.folder()
  use(folder, "serving = { port = 9000 }")
  config.set_flag("serving", "port", 9002)
  lu.assertEquals(config.serving().port, 9002)
  config.set_flag("serving", "port", nil)
  lu.assertEquals(config.serving().port, 9000)
end

function TestConfig.test_unknown_names_get_the_nearest()
  lu.assertEquals(refusal("invalid", "serivng = {}"), "mlengine.conf.lua has no option 'serivng' (did you mean 'serving'?)")
  lu.assertEquals(
    refusal("invalid", "mlflow = { traking_uri = '' }"),
    "mlflow in mlengine.conf.lua has no option 'traking_uri' (did you mean 'tracking_uri'?)"
  )
  local message = refusal("not found", "catalogs = { lake = { uri = 'https://h' } }", function() config.catalog "lkae" end)
  lu.assertStrContains(message, "there is no catalog 'lkae' (did you mean 'lake'?)")
end

function TestConfig.test_wrong_types_are_named()
  lu.assertStrContains(refusal("invalid", "serving = { port = 'x' }"), "option 'port' of serving")
  lu.assertStrContains(refusal("invalid", "catalogs = { default = 'x' }"), "catalogs.default")
  lu.assertStrContains(refusal("invalid", "serving = { port = 70000 }", config.serving), "0 to 65535")
end

function TestConfig.test_the_file_is_only_data()
  lu.assertStrContains(refusal("invalid", "mlflow = {"), "mlengine.conf.lua:1: unexpected symbol")
  lu.assertStrContains(refusal("invalid", "os.execute 'x'"), "mlengine.conf.lua:1: attempt to index a nil value (global 'os')")
  lu.assertStrContains(refusal("invalid", "while true do end"), "ran for too long")
  lu.assertStrContains(refusal("invalid", "local s = 'x' while true do s = s .. s end"), "not enough memory")
  lu.assertStrContains(refusal("invalid", "mlflow = { tracking_uri = function() end }"), "cannot hold a function")
  lu.assertStrContains(refusal("invalid", "t = {} t.t = t"), "nested at most 16")
  lu.assertStrContains(refusal("invalid", "return 5"), "set names, or return a table")
  lu.assertStrContains(refusal("invalid", "\27Lua"), "binary chunk")
  lu.assertStrContains(refusal("invalid", "error(nil)"), "attempt to call a nil value")
end

function TestConfig.test_others_may_not_write_it()
  local folder <close> = test.folder()
  local path = use(folder, "")
  assert(os.execute("chmod 666 " .. path))
  lu.assertStrContains(test.raises("refused", config.tracking_uri).message, "chmod go-w " .. path)
end
