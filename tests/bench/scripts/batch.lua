-- Appends rows x 20 random features and a label that can be learned.
local frame, iceberg, job = require "mlengine.frame", require "mlengine.iceberg", require "mlengine.job"
local params = job.params { rows = { 50000, "rows", min = 1 } }

local columns = {}
for i = 0, 9 do columns[#columns + 1] = ("sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()) as f%d"):format(i) end
for i = 10, 15 do columns[#columns + 1] = ("(random() * 1000)::int as f%d"):format(i) end
for i = 16, 19 do columns[#columns + 1] = ("random()::float as f%d"):format(i) end

local batch = frame.sql(
  ("with draws as (select %s from range(?)) select *, (f0 + f1 * f16 + 0.002 * f10 + random() - 0.5 > 1)::int as label from draws"):format(
    table.concat(columns, ", ")
  ),
  { params.rows }
)
local t = iceberg.catalog():create_table_if_not_exists("ml.t", batch.schema)
job.output { rows = t:append(batch).added_records }
