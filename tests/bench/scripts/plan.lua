-- Loads a metadata file and plans a scan, again and again: METADATA, WHAT (scan, filter or increment), ROUNDS.
-- `mlengine test` runs it: scripts have no clock, tests may look at the system's.
local iceberg, json, system = require "mlengine.iceberg", require "mlengine.json", require "mle.system"

local function plan(table_, what)
  if what == "filter" then return table_:plan { where = "id < 100000" } end
  if what == "increment" then return table_.handle:plan(table_:range()):facts() end
  return table_:plan()
end

local seconds, files = {}, 0
for i = 1, tonumber(os.getenv "ROUNDS") do
  local begun = system.monotonic_ns()
  files = plan(iceberg.StaticTable.from_metadata(os.getenv "METADATA"), os.getenv "WHAT").num_files
  seconds[i] = (system.monotonic_ns() - begun) / 1e9
end
table.sort(seconds)
print(json.encode { seconds = seconds[#seconds // 2 + 1], files = files })
