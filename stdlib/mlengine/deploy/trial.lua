--- A candidate tried on live traffic: as a shadow, whose answers nobody sees, and as a canary, that
--- answers a share of the requests which grows while it does no worse.
---
--- The server compares, and ends a trial that is out of bounds by itself, also when the release
--- that drives it is gone. A canary that cannot answer a request never shows: the live model does.

local check = require "mlengine.check"
local errors = require "mlengine.error"
local log = require "mlengine.log"
local system = require "mle.system"

local M = {}

---@class mlengine.deploy.Canary
---@field steps? number[]   shares of the traffic, one after the other; { 0.05, 0.25, 0.5 }
---@field hold? number      seconds that each step lasts at least; 60
---@field requests? integer that the candidate must have answered in each step; 100
---@field timeout? number   seconds that a step may wait for them; 3600
---@field errors? number    share of requests that it cannot answer and the live model can; 0.01
---@field drift? number     distance of the scores' distributions, 0 to 1; 0.1

---@class mlengine.deploy.Shadow
---@field hold? number        60
---@field requests? integer   100
---@field timeout? number     3600
---@field errors? number      0.01
---@field drift? number       1: reported, not judged
---@field tolerance? number   answers that differ by more disagree; 1e-6
---@field disagreement? number share of answers that may; 1: reported, not judged

local POLL_SECONDS <const> = 0.2

local common <const> = {
  hold = "number|nil", requests = "integer|nil", timeout = "number|nil", errors = "number|nil", drift = "number|nil",
}
local canary_options <const> = { steps = "table|nil" }
local shadow_options <const> = { tolerance = "number|nil", disagreement = "number|nil" }
for key, types in pairs(common) do canary_options[key], shadow_options[key] = types, types end

--- What each number may be; without a second one there is no most.
local ranges <const> = {
  hold = { 0 }, requests = { 0 }, timeout = { 0 }, errors = { 0, 1 }, drift = { 0, 1 }, tolerance = { 0 }, disagreement = { 0, 1 },
}

local function check_ranges(options, what)
  for name, range in pairs(ranges) do
    local value = options[name]
    if value and not (value >= range[1] and value <= (range[2] or math.huge)) then
      errors.raise("invalid", "option '%s' of %s must be %s, not %g", name, what, range[2] and "from 0 to 1" or "0 or more", value)
    end
  end
end

local LEAST_SHARE <const> = 0.0001 -- the server counts in ten-thousandths: of less it would send nothing

local function check_steps(steps)
  local last = 0
  for _, share in ipairs(steps) do
    check.type(share, "number", "a step of option 'canary' of deploy.release")
    if share <= last or share >= 1 then
      errors.raise("invalid", "the steps of option 'canary' of deploy.release must rise, between 0 and 1")
    end
    if share < LEAST_SHARE then
      errors.raise("invalid", "a step of option 'canary' of deploy.release must be at least %g, not %g", LEAST_SHARE, share)
    end
    last = share
  end
  if last == 0 then errors.raise("invalid", "option 'canary' of deploy.release needs at least one step") end
end

---Raises unless the options are good; before anything is done.
---@param canary? mlengine.deploy.Canary
---@param shadow? mlengine.deploy.Shadow
function M.check(canary, shadow)
  if canary then
    check.options(canary, canary_options, "option 'canary' of deploy.release")
    check_ranges(canary, "option 'canary' of deploy.release")
    if canary.steps then check_steps(canary.steps) end
  end
  if shadow then
    check.options(shadow, shadow_options, "option 'shadow' of deploy.release")
    check_ranges(shadow, "option 'shadow' of deploy.release")
  end
end

local function percent(part, whole) return whole > 0 and 100 * part / whole or 0 end

--- Holds one step; what the server tells at its end, or nil and why it was ended.
local function hold(ask, share, shadow, options, what)
  local begun, needed = system.monotonic_ns(), options.requests or 100
  local told = ask { share = share, shadow = shadow }
  local before = told.requests
  while true do
    if told.ended then return nil, told.ended end
    local seconds = (system.monotonic_ns() - begun) / 1e9
    local seen = told.requests - before
    if seconds >= (options.hold or 60) and seen >= needed then return told end
    if seconds > (options.timeout or 3600) then
      return nil, ("%d of the %d requests it waits for came in %.0f s"):format(seen, needed, seconds)
    end
    system.sleep(POLL_SECONDS)
    if system.cancelled() then errors.raise("cancelled", "interrupted: the %s was taken back", what) end
    told = ask {}
    log.debug("%s: %d requests", what, seen)
  end
end

local function bounds_of(options, drift)
  return {
    errors = options.errors or 0.01, drift = options.drift or drift, tolerance = options.tolerance or 1e-6,
    disagreement = options.disagreement or 1, minimum = math.min(options.requests or 100, 100),
  }
end

local function shadow(begin, ask, options)
  begin(bounds_of(options, 1))
  local told, why = hold(ask, 0, true, options, "shadow")
  if not told then return "shadow: " .. why end
  local text = ("shadow: %d answers compared, %.3g %% differ by more than %g (mean %.3g, at most %.3g); %d failed"):format(
    told.compared, percent(told.differed, told.compared), options.tolerance or 1e-6, told.mean_apart, told.max_apart, told.failed)
  log.info("%s", text)
  return nil, text, told
end

local function canary(begin, ask, options)
  begin(bounds_of(options, 0.1))
  local text
  for _, share in ipairs(options.steps or { 0.05, 0.25, 0.5 }) do
    local told, why = hold(ask, share, false, options, "canary")
    if not told then return ("canary at %g %%: %s"):format(100 * share, why) end
    text = ("canary: %g %% of the requests, %d answered, %d failed, drift %.3g"):format(100 * share, told.requests, told.failed, told.drift)
    log.info("%s", text)
  end
  return nil, text
end

---Tries what is staged; why it is refused, or nil.
---@param command fun(name: string, fields: table): table
---@param deployment { id: integer, endpoint: string }
---@param options { canary?: mlengine.deploy.Canary, shadow?: mlengine.deploy.Shadow }
---@return string? refused, string[] said of each that it passed, table? shadow the shadow's figures
function M.run(command, deployment, options)
  local function call(name, fields)
    fields.endpoint, fields.deployment = deployment.endpoint, deployment.id
    return command(name, fields)
  end
  local function begin(bounds) call("try", bounds) end
  local function ask(fields) return call("trial", fields) end
  local refused, figures
  local said = {}
  if options.shadow then refused, said[1], figures = shadow(begin, ask, options.shadow) end
  if not refused and options.canary then refused, said[#said + 1] = canary(begin, ask, options.canary) end
  return refused, said, figures
end

return M
