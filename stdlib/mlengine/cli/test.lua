--- `mlengine test FILE.lua...`: runs LuaUnit test files in this program.

local raise = require("mlengine.error").raise

local function use_luaunit()
  local path = os.getenv "MLENGINE_LUAUNIT" or "/usr/share/lua/5.4/luaunit.lua"
  local chunk = loadfile(path, "t")
  if not chunk then
    raise("not found", "LuaUnit is not at %s; apt-get install lua-unit, or set MLENGINE_LUAUNIT", path)
  end
  package.preload.luaunit = chunk
  os.exit = os.exit or function() end -- LuaUnit keeps a copy; nothing here calls it
  return require "luaunit"
end

return {
  summary = "run test files written with LuaUnit",
  usage = "mlengine test FILE.lua...",
  run = function(args)
    local luaunit = use_luaunit()
    local files = {}
    for _, arg in ipairs(args) do files[#files + 1] = arg end
    if #files == 0 then
      raise("usage", "name the test files: mlengine test FILE.lua...")
    end
    for _, file in ipairs(files) do assert(loadfile(file, "t"))() end
    local runner = luaunit.LuaUnit.new()
    runner:setOutputType "text"
    return runner:runSuite() == 0 and 0 or 1
  end,
}
