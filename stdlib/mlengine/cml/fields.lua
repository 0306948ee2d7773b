--- `cml = { ... }` of a pipeline and of its jobs: what a CML Job has that a pipeline has no word for.

local check = require "mlengine.check"
local errors = require "mlengine.error"

local M = {}

---@class mlengine.cml.Job
---@field runtime? string          an image of list_runtimes; this or `kernel`
---@field kernel? string           "python3", of workspaces without runtimes
---@field addons? string[]         of list_runtime_addons: { "spark-3.3" }
---@field cpu? number              vCPU; default `resources.cpu`, or 1
---@field memory? number           GiB; default `resources.memory`, or 2
---@field gpu? integer             default `resources.gpu`, or 0
---@field environment? table<string, string|number|boolean>
---@field recipients? mlengine.cml.Recipient[] who gets mail from CML
---@field attachments? string[]    files of the project that the mails carry
---@field program? string          the mlengine there; "mlengine"

---@class mlengine.cml.Recipient
---@field email string
---@field on? string|string[]      "success", "failure", "timeout", "stop"; default failure and timeout

local known <const> = {
  runtime = "string|nil", kernel = "string|nil", addons = "table|nil", cpu = "number|nil", memory = "number|nil",
  gpu = "integer|nil", environment = "table|nil", recipients = "table|nil", attachments = "table|nil", program = "string|nil",
}

local EVENTS <const> = { "success", "failure", "timeout", "stop" }

local function texts(list, what)
  if list == nil then return nil end
  for _, text in ipairs(list) do check.type(text, "string", "each of " .. what) end
  return table.move(list, 1, #list, 1, {})
end

local function read_recipient(entry, what)
  check.options(entry, { email = "string", on = "string|table|nil" }, what)
  if not entry.email:find "^[^%s@<>,]+@[^%s@<>,]+$" then
    errors.raise("invalid", "email of %s must be an address, not '%s'", what, entry.email)
  end
  local on = type(entry.on) == "string" and { entry.on } or entry.on or { "failure", "timeout" }
  local recipient = { email = entry.email }
  for _, event in ipairs(EVENTS) do recipient["notify_on_" .. event] = false end
  for _, event in ipairs(on) do
    if recipient["notify_on_" .. tostring(event)] == nil then
      errors.raise("invalid", "%s: on must be of %s, not '%s'%s", what, table.concat(EVENTS, ", "), tostring(event),
        check.hint(tostring(event), EVENTS))
    end
    recipient["notify_on_" .. event] = true
  end
  return recipient
end

---@param own? table a job's `cml`
---@param shared? table the pipeline's, which holds where the job says nothing
---@param what string
---@return table? plain data; nil when neither says anything
function M.read(own, shared, what)
  if not own and not shared then return nil end
  local given, name = {}, "cml of " .. what
  for _, source in ipairs { shared or {}, own or {} } do
    for key, value in pairs(source) do given[key] = value end
  end
  check.options(given, known, name)
  if given.runtime and given.kernel then errors.raise("invalid", "%s names a runtime or a kernel, not both", name) end
  local recipients = {}
  for i, entry in ipairs(given.recipients or {}) do
    recipients[i] = read_recipient(entry, ("recipient %d in %s"):format(i, name))
  end
  return {
    runtime = given.runtime, kernel = given.kernel, addons = texts(given.addons, "addons in " .. name), cpu = given.cpu,
    memory = given.memory, gpu = given.gpu, recipients = recipients, program = given.program,
    environment = require("mlengine.pipeline.fields").env(given.environment, name),
    attachments = texts(given.attachments, "attachments in " .. name),
  }
end

return M
