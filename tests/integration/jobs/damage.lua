-- What the state's readers say of a file that is damaged at some place, in this process: three commands for each byte would
-- take hours. CASES names a file of JSON: {file, whole, beside?, places: [[at, mask], ...]}; a mask of 0 cuts the file off at
-- `at`, another changes the byte there. `file` is state.db or its log; `beside` is the database that the log belongs to.
-- `mlengine test` runs it: scripts know no state. It prints what the whole file says, how often each answer came, and where first.
local errors, json = require "mlengine.error", require "mlengine.json"
local project = require "mlengine.project"
local states = require "mlengine.jobs.state"
local system = require "mle.system"

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

--- A new file each time: one that is cut to nothing first is waited for until it is on the disk.
local function write(path, content)
  os.remove(path)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(content))
end

local function look()
  local state <close> = states.open()
  local known, fourth = pcall(state.details, state, 4)
  if not known and not errors.line(errors.from(fourth)):find "there is no run 4" then error(fourth, 0) end
  return table.concat({ state:history(1000, {}), known and fourth or "none", state:watermarks() }, "\n")
end

--- All that the state knows, in short; or the message that says what is wrong.
local function ask()
  local ok, answer = pcall(look)
  if not ok then return errors.line(errors.from(answer)) end
  return "sound " .. system.sha256((answer:gsub('"ended":%d+', ""):gsub('"updated":%d+', "")))
end

local cases = json.decode(read(os.getenv "CASES"))
local folder = project.current().state .. "/"
local whole, beside = read(cases.whole), cases.beside and read(cases.beside)

local function put(content)
  for _, name in ipairs { "state.db-shm", "state.db-wal" } do os.remove(folder .. name) end
  if beside then write(folder .. "state.db", beside) end
  write(folder .. cases.file, content)
end

local counts, places = {}, {}
for _, case in ipairs(cases.places) do
  local at, mask = case[1], case[2]
  local changed = mask == 0 and "" or string.char(whole:byte(at + 1) ~ mask) .. whole:sub(at + 2)
  put(whole:sub(1, at) .. changed)
  local answer = ask()
  if answer:find("is damaged: ", 1, true) then answer = "damaged" end
  counts[answer] = (counts[answer] or 0) + 1
  places[answer] = places[answer] or at
end
put(whole)
print(json.encode { sound = ask(), counts = counts, first = places })
