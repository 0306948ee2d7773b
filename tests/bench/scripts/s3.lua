-- A scan of all rows of a table on S3, as often as $ROUNDS says; the first is apart, and finds nothing learnt.
local frame, iceberg, json = require "mlengine.frame", require "mlengine.iceberg", require "mlengine.json"
local system = require "mle.system"
local root = os.getenv "ROOT"
local properties = {
  uri = "sqlite:///" .. root .. "/catalog.db", warehouse = "s3://lake/w", ["s3.endpoint"] = os.getenv "S3",
  ["s3.access-key-id"] = "key", ["s3.secret-access-key"] = "secret", ["s3.region"] = "us-east-1",
}

local seconds, rows, total = {}, 0, 0
for i = 0, tonumber(os.getenv "ROUNDS") do
  local begun = system.monotonic_ns()
  local scan = iceberg.catalog(properties):load_table("ml.t"):scan()
  local found = frame.sql("select count(*)::bigint as n, sum(value) as total from t", { t = scan }):collect()[1]
  seconds[i], rows, total = (system.monotonic_ns() - begun) / 1e9, found.n, found.total
end
local first = seconds[0]
table.sort(seconds)
print(json.encode { first = first, seconds = seconds[(#seconds + 1) // 2], rows = rows, total = total })
