--- Checkpoints: a training that was interrupted goes on where it stood, to the same bytes.
---
--- Two files: model-ROUND.ubj, and checkpoint.json, which names it and is replaced in one step. The library's
--- caches are let go at each, so that going on and starting again from the file are the same;
--- its random numbers are those of the round (seed_per_iteration).

local check = require "mlengine.check"
local json = require "mlengine.json"
local log = require "mlengine.log"
local raise = require("mlengine.error").raise
local system = require "mle.system"

local M = {}

local options <const> = { directory = "string", interval = "integer|nil" }

local Checkpoint = {}
Checkpoint.__index = Checkpoint

local function read(path)
  if not system.stat(path) then return nil end
  return json.decode(system.read(path))
end

---@param given { directory: string, interval?: integer }
---@param fingerprint string what must be the same for a training to go on
function M.open(given, fingerprint)
  check.options(given, options, "checkpoint")
  local self = setmetatable({ directory = given.directory, interval = given.interval or 100, fingerprint = fingerprint }, Checkpoint)
  if self.interval < 1 then raise("invalid", "checkpoint: the interval is at least 1 round") end
  system.make_folders(self.directory)
  self.path = self.directory .. "/checkpoint.json"
  self.state = read(self.path)
  if self.state and self.state.fingerprint ~= fingerprint then
    raise("refused", ("'%s' is the checkpoint of a training with other rows, columns or parameters; remove it, or name another directory"):format(self.path))
  end
  if self.state then
    self.last = self.state.model
    self.bytes = system.read(self.directory .. "/" .. self.state.model)
    log.info("training goes on from round %d of '%s'", self.state.round, self.path)
  end
  return self
end

---Keeps the state after a round, when one is due.
---@param trainer mle.xgboost.Booster
---@param round integer rounds done in all
---@param history table
---@param watched { [1]: string, [2]: number }[]
function Checkpoint:round(trainer, round, history, watched)
  if round % self.interval ~= 0 then return end
  trainer:reset()
  local name = ("model-%d.ubj"):format(round)
  system.replace(self.directory .. "/" .. name, trainer:save "ubj")
  system.replace(self.path, json.encode {
    fingerprint = self.fingerprint,
    model = name,
    round = round,
    history = history,
    watched = json.array(watched),
  })
  if self.last then system.remove(self.directory .. "/" .. self.last) end
  self.last = name
end

---The training is over: its checkpoint is of no use.
function Checkpoint:finish()
  if not self.last then return end
  system.remove(self.path)
  system.remove(self.directory .. "/" .. self.last)
end

return M
