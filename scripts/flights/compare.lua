-- Compare: the AUC of each strategy on the month after its training, as a table and as a plot. The newest model of the
-- strategy that has been the best in the mean goes to the API.
local frame = require "mlengine.frame"
local iceberg = require "mlengine.iceberg"
local job = require "mlengine.job"
local plot = require "mlengine.plot"
local project = require "mlengine.project"

local new = job.input()
if #new.judged == 0 then job.skip "the first month has no month before it" end

local scores = iceberg.catalog():load_table("nyc.scores"):scan()
local rows = frame.sql("select month, strategy, max(auc) as auc from scores group by all order by month, strategy", { scores = scores }):collect()
local by_strategy, series = {}, {}
for _, row in ipairs(rows) do
  if not by_strategy[row.strategy] then
    by_strategy[row.strategy] = { name = row.strategy, points = {} }
    series[#series + 1] = by_strategy[row.strategy]
  end
  table.insert(by_strategy[row.strategy].points, { row.month, row.auc })
end

local drawing = plot.lines {
  title = "AUC on the month after training",
  series = series, x = "month of 2013", y = "AUC", dots = true,
}
drawing:save(project.current().root .. "/flights.svg")

print "| month | continued | increment | window |\n| --- | --- | --- | --- |"
for i, point in ipairs(by_strategy.continued.points) do
  print(("| %d | %.4f | %.4f | %.4f |"):format(point[1], point[2], by_strategy.increment.points[i][2], by_strategy.window.points[i][2]))
end

local best = frame.sql("select strategy from scores group by strategy order by avg(auc) desc, strategy limit 1", { scores = scores }):collect()[1].strategy
job.output { months = #by_strategy.continued.points, plot = "flights.svg", best = best, model = new.models[best] }
