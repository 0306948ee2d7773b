--- Questions of the page that children answer (up/look.lua): a few at a time, the same one asked once, and its answer
--- kept for a moment, so that many who watch cost what one costs.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local process = require "mle.process"
local system = require "mle.system"

local M = {}

local NS <const> = 10 ^ 9 // 1 | 0
local AT_A_TIME <const>, WAITING_MAX <const> = 3, 64
local TIMEOUT_NS <const>, KEEP_NS <const> = 60 * NS, NS

---@class mlengine.up.Look
---@field key string
---@field question table
---@field keep boolean    its answer may be given to others
---@field child? mle.Process
---@field answer? table   { kind =, body = }, or { error = }

---@class mlengine.up.Looks
---@field file string a file of the project: the child finds its configuration by it
---@field asked mlengine.up.Look[]
---@field by_key table<string, mlengine.up.Look>
local Looks = {}
Looks.__index = Looks

---@param file string
---@return mlengine.up.Looks
function M.new(file) return setmetatable({ file = file, asked = {}, by_key = {} }, Looks) end

---Whether a child is at work, or soon.
function Looks:is_busy() return #self.asked > 0 end

---Asks; `keep` is false for what changes something.
---@param question table
---@param keep boolean
---@return mlengine.up.Look
function Looks:ask(question, keep)
  local key = json.encode(question)
  local known = keep and self.by_key[key]
  if known then return known end
  if #self.asked >= WAITING_MAX then errors.raise("busy", "too many questions wait already; try again") end
  local look = { key = key, question = question, keep = keep }
  self.asked[#self.asked + 1] = look
  if keep then self.by_key[key] = look end
  return look
end

local function begin(self, look)
  look.question.file = self.file
  look.child = process.start { argv = { "child", "look" }, input = json.encode(look.question) }
  look.deadline = system.monotonic_ns() + TIMEOUT_NS
end

local function finish(look, answer)
  if look.child then look.child:close() end
  look.child, look.answer, look.until_ = nil, answer, system.monotonic_ns() + KEEP_NS
end

local function parse(text)
  local head, body = text:match "^(.-)\n(.*)$"
  local told = head and json.decode(head)
  if not told then return { error = errors.new("io", "the process that looked for it ended by itself") } end
  if told.error then return { error = errors.new(told.error.kind, told.error.message) } end
  return { kind = told.kind, body = body }
end

--- Whether it was asked to stop meanwhile.
local function poll(look)
  local kind = look.child:next(0)
  while kind == "line" do kind = look.child:next(0) end
  if kind == "ended" then
    finish(look, parse(look.child:answer()))
  elseif system.monotonic_ns() > look.deadline then
    finish(look, { error = errors.new("timeout", "there was no answer within 60 s") })
  end
  return kind == "asked"
end

local function forget_old(self)
  local now = system.monotonic_ns()
  for key, look in pairs(self.by_key) do
    if look.answer and now > look.until_ then self.by_key[key] = nil end
  end
end

---Starts and ends children.
---@return boolean asked this process was asked to stop meanwhile
function Looks:tick()
  local asked, still, running = false, {}, 0
  for _, look in ipairs(self.asked) do
    if not look.child and running < AT_A_TIME then
      local ok, problem = pcall(begin, self, look)
      if not ok then finish(look, { error = errors.from(problem) }) end
    end
    if look.child then
      running = running + 1
      asked = poll(look) or asked
    end
    if not look.answer then still[#still + 1] = look end
  end
  self.asked = still
  forget_old(self)
  return asked
end

return M
