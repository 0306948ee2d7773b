--- One line about the rounds: redrawn on a terminal, written once at the end elsewhere.

local log = require "mlengine.log"
local system = require "mle.system"

local M = {}

local REDRAW_NS <const> = 100 * 1000 * 1000

local Bar = {}
Bar.__index = Bar

local function line(bar)
  local parts = { ("training: round %d of %d"):format(bar.round, bar.rounds) }
  for _, metric in ipairs(bar.metrics) do
    parts[#parts + 1] = ("%s-%s %.5g"):format(bar.evals[metric[1]][1], metric[2], metric[3])
  end
  return table.concat(parts, "  ")
end

local function draw(bar)
  local text = line(bar):sub(1, system.terminal_width() - 1)
  io.stderr:write("\r", text, (" "):rep(bar.drawn - #text))
  bar.drawn = #text
end

---@param round integer rounds done
---@param evals { [1]: string }[]
---@param metrics { [1]: integer, [2]: string, [3]: number }[]
function Bar:show(round, evals, metrics)
  self.round, self.evals, self.metrics = round, evals, metrics
  local now = system.monotonic_ns()
  if not self.terminal or now - self.at < REDRAW_NS then return end
  self.at = now
  draw(self)
end

function Bar:__close(problem)
  if self.terminal and self.round > 0 then
    draw(self)
    io.stderr:write "\n"
  elseif not (problem or self.silent) then
    log.info("%s, %.1f s", line(self), (system.monotonic_ns() - self.since) / 1e9)
  end
end

---@param rounds integer at most
---@param silent? boolean where several train at a time
function M.start(rounds, silent)
  local now = system.monotonic_ns()
  return setmetatable({ rounds = rounds, round = 0, metrics = {}, at = now, since = now, drawn = 0, terminal = not silent and system.is_terminal(2), silent = silent }, Bar)
end

return M
