-- Reads a table of METADATA, again and again: its rows from FIRST_ID on, ANSWER of them; ROUNDS.
-- `mlengine test` runs it: scripts have no clock, tests may look at the system's.
local frame, iceberg, json, system = require "mlengine.frame", require "mlengine.iceberg", require "mlengine.json", require "mle.system"

local seconds, row = {}, nil
local first, columns = tonumber(os.getenv "FIRST_ID"), os.getenv "ANSWER"
for i = 1, tonumber(os.getenv "ROUNDS") do
  local begun = system.monotonic_ns()
  local table_ = iceberg.StaticTable.from_metadata(os.getenv "METADATA")
  local rows <close> = table_:scan { where = first > 0 and ("id >= %d"):format(first) or nil }
  row = frame.sql(("select [%s] as answer from t"):format(columns), { t = rows }):collect()[1]
  seconds[i] = (system.monotonic_ns() - begun) / 1e9
end
table.sort(seconds)
print(json.encode { seconds = seconds[#seconds // 2 + 1], answer = row.answer })
