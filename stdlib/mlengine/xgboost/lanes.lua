--- Trainings side by side: each a coroutine that gives way while its round is computed in a lane, which is
--- a thread of its own. All of Lua stays on one thread.

local native = require "mle.xgboost"

local M = {}

---@class mlengine.xgboost.Lane
---@field lanes mle.xgboost.Lanes
---@field number integer
local Lane = {}
Lane.__index = Lane

---A round of each booster, one after the other. Others go on meanwhile.
---@param trainers mle.xgboost.Booster[]
function Lane:round(trainers)
  self.lanes:begin(self.number, trainers)
  local problem = coroutine.yield()
  if problem then error(problem, 0) end
  self.lanes:result(self.number)
end

--- Those that are under way hear that one has failed: what they hold open ends as failed, too.
local function end_all(active, problem)
  for number, thread in pairs(active) do
    active[number] = nil
    coroutine.resume(thread, problem)
    coroutine.close(thread)
  end
end

---Calls task(i, lane) for each i, at most `count` at a time, in order of their numbers. The first error ends all.
---@param count integer lanes
---@param tasks integer
---@param task fun(i: integer, lane: mlengine.xgboost.Lane)
function M.run(count, tasks, task)
  local lanes <close> = native.lanes(count)
  local active, begun = {}, 0
  local function go_on(number, thread, ...)
    local ok, problem = coroutine.resume(thread, ...)
    active[number] = coroutine.status(thread) == "suspended" and thread or nil
    if ok then return end
    coroutine.close(thread) -- only now is closed what it held
    while lanes:wait() do end
    end_all(active, problem)
    error(problem, 0)
  end
  local function fill(number)
    while not active[number] and begun < tasks do
      begun = begun + 1
      go_on(number, coroutine.create(task), begun, setmetatable({ lanes = lanes, number = number }, Lane))
    end
  end
  for number = 1, count do fill(number) end
  for number in function() return lanes:wait() end do
    go_on(number, active[number])
    fill(number)
  end
end

return M
