--- `mlengine new DIR`: a pipeline that works, to change into one's own.

local embedded = require "mle.embedded"
local raise = require("mlengine.error").raise
local system = require "mle.system"

local usage <const> = "mlengine new DIR"
local EXAMPLE <const> = "scripts/fraud/"

local CONFIG <const> = [[
-- Settings of this project; mlengine help config says what there is.
-- Defaults apply to what is not set here.

-- serving = { port = 8700 }
-- mlflow = { tracking_uri = "sqlite:///mlflow.db" }
-- catalogs = {
--   default = { uri = "sqlite:///.mlengine/catalog.db", warehouse = ".mlengine/warehouse" },
-- }
]]

local IGNORE <const> = ".mlengine/\nmlflow.db*\nmlruns/\nmlartifacts/\n"

local function refuse_full(folder)
  local info = system.stat(folder)
  if info and info.kind ~= "folder" then
    raise("exists", ("'%s' is there and is not a folder; choose another name"):format(folder))
  end
  if info and #system.list(folder) > 0 then
    raise("exists", ("folder '%s' is not empty; choose another name"):format(folder))
  end
end

local function write_project(folder)
  system.make_folders(folder)
  local files = {}
  for _, name in ipairs(embedded.names()) do
    if name:sub(1, #EXAMPLE) == EXAMPLE then
      files[#files + 1] = name:sub(#EXAMPLE + 1)
      system.replace(folder .. "/" .. files[#files], embedded.text(name))
    end
  end
  system.replace(folder .. "/mlengine.conf.lua", CONFIG)
  system.replace(folder .. "/.gitignore", IGNORE)
  return files
end

return {
  summary = "make a folder with a pipeline that works",
  usage = usage,
  details = "New batch, retrain, redeploy: the scripts of scripts/fraud, and a mlengine.conf.lua.",
  run = function(args)
    local _, names = require("mlengine.arguments").parse(args, {}, usage, { 1, 1 })
    local folder = names[1]
    refuse_full(folder)
    local files = write_project(folder)
    print(("%s: %s, mlengine.conf.lua"):format(folder, table.concat(files, ", ")))
    print(("next: cd %s && mlengine run pipeline.lua"):format(folder))
  end,
}
