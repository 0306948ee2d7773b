local arguments = require "mlengine.arguments"
local errors = require "mlengine.error"
local files = require "mlengine.jobs.files"
local script = require "mlengine.script"
local system = require "mle.system"

local usage <const> = "mlengine watch FILE.lua [-p name=value]... [--job NAME]"
local PAUSE_S <const> = 0.2
local DEPTH <const> = 2
local INTERRUPTED <const> = 130

--- The time of the last save of the script, and of any Lua file beside or below it.
local function last_save(file)
  local latest = 0
  local paths = files.lua_in(script.folder(file), DEPTH)
  paths[#paths + 1] = file
  for _, path in ipairs(paths) do
    local info = system.stat(path)
    if info then latest = math.max(latest, info.mtime_ns) end
  end
  return latest
end

--- An editor may write a file in several steps: wait until it rests.
local function settled_save(file)
  local before
  repeat
    before = last_save(file)
    system.sleep(PAUSE_S / 2)
  until last_save(file) == before or system.cancelled()
  return before
end

--- Whether the user asked to stop meanwhile.
local function rehearse(file, options)
  local ok, code, asked = pcall(require("mlengine.runner").run, file, options)
  if not ok then io.stderr:write("mlengine: ", errors.line(errors.from(code)), "\n") end
  return ok and asked
end

return {
  summary = "rehearse a script again on every save",
  usage = usage,
  details = "Each rehearsal reads the rows of the last run again (or, before the first, those that are new);\n"
    .. "nothing is consumed, registered or deployed. Ctrl-C ends it.",
  run = function(args)
    local given, names = arguments.parse(args, { ["-p"] = "list", ["--job"] = "NAME" }, usage, { 1, 1 })
    local file = names[1]
    if not system.stat(file) then errors.raise("usage", "there is no script '%s'", file) end
    while true do
      local saved = settled_save(file)
      local changed = function() return last_save(file) ~= saved end
      local asked = rehearse(file, { params = given.p, job = given.job, rehearsal = "watch", abandoned = changed })
      if asked then return INTERRUPTED end
      if not changed() then
        print("watching " .. file .. "; save it to rehearse again, Ctrl-C to end")
      end
      while not changed() and not system.cancelled() do system.sleep(PAUSE_S) end
      if system.cancelled() then return INTERRUPTED end
    end
  end,
}
