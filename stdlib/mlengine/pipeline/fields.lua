--- The fields of a job that are more than a word: checked, and made plain data of.

local check = require "mlengine.check"
local errors = require "mlengine.error"

local M = {}

local NAME <const> = "^[%a_][%w_]*$"
local EVENTS <const> = { "success", "failure", "timeout", "skip", "rejection" }
local DEFAULT_EVENTS <const> = { "failure", "timeout" }
local PLACES_MAX <const> = 64

-- ====== Commands ======

---@param command any
---@param what string
---@return string[]?
function M.command(command, what)
  if command == nil then return nil end
  check.type(command, "table", "the command of " .. what)
  local count = 0
  for key, word in pairs(command) do
    if math.type(key) ~= "integer" or type(word) ~= "string" or word:find "\0" then
      errors.raise("invalid", "the command of %s is a list of strings: { \"python3\", \"features.py\" }", what)
    end
    count = count + 1
  end
  if count == 0 or count ~= #command or command[1] == "" then
    errors.raise("invalid", "the command of %s is a list of strings, the first a program: { \"python3\", \"features.py\" }", what)
  end
  return table.move(command, 1, #command, 1, {})
end

-- ====== Environment and secrets ======

local function check_name(name, field, what)
  if type(name) == "string" and name:find(NAME) then return name end
  errors.raise("invalid", "%s of %s: '%s' cannot be the name of a variable; letters, digits and '_'", field, what, tostring(name))
end

---@return table<string, string>
function M.env(env, what)
  local texts = {}
  for name, value in pairs(env or {}) do
    check_name(name, "env", what)
    texts[name] = tostring(check.type(value, "string|number|boolean", ("env.%s of %s"):format(name, what)))
    if texts[name]:find "\0" then errors.raise("invalid", "env.%s of %s holds a zero byte", name, what) end
  end
  return texts
end

---Where a secret is: { env = NAME } or { file = PATH }.
---@param value any
---@param what string
---@return { env?: string, file?: string }
function M.source(value, what)
  check.options(value, { env = "string|nil", file = "string|nil" }, what)
  if (value.env == nil) == (value.file == nil) then
    errors.raise("invalid", "%s says where it is: { env = \"NAME\" } or { file = \"/path\" }, one of them", what)
  end
  return { env = value.env, file = value.file }
end

---`{ "TOKEN", KEY = { file = "/run/secrets/key" } }` as sources by the job's names.
---@return table<string, { env?: string, file?: string }>
function M.secrets(secrets, what)
  local sources = {}
  for key, value in pairs(secrets or {}) do
    if math.type(key) == "integer" then
      check.type(value, "string", "each name in secrets of " .. what)
      sources[check_name(value, "secrets", what)] = { env = value }
    else
      check_name(key, "secrets", what)
      if type(value) ~= "table" then -- a secret itself must not get into the message
        errors.raise("invalid", "secrets.%s of %s must say where it is, not what: { env = \"NAME\" } or { file = \"/path\" }", key, what)
      end
      sources[key] = M.source(value, ("secrets.%s of %s"):format(key, what))
    end
  end
  return sources
end

-- ====== Inputs ======

---Adds the jobs of `inputs = { model = "Retrain" }` to those it follows.
---@param inputs any
---@param after { name: string, on: string }[] changed
---@param what string
---@return table<string, string>? names of job.input by which parent they mean
function M.inputs(inputs, after, what)
  if inputs == nil then return nil end
  local follows, aliases, names = {}, {}, {}
  for _, parent in ipairs(after) do follows[parent.name] = true end
  for name, parent in pairs(inputs) do
    check.type(name, "string", "a name in inputs of " .. what)
    aliases[name] = check.type(parent, "string", ("inputs.%s of %s"):format(name, what))
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    if not follows[aliases[name]] then
      after[#after + 1] = { name = aliases[name], on = "success" }
      follows[aliases[name]] = true
    end
  end
  return aliases
end

-- ====== Concurrency ======

---@return { group: string, max: integer }?
function M.concurrency(value, what)
  if value == nil then return nil end
  if type(value) == "string" then value = { group = value } end
  check.options(value, { group = "string", max = "integer|nil" }, "concurrency of " .. what)
  local max = value.max or 1
  if not value.group:find "%S" then errors.raise("invalid", "concurrency of %s needs a name", what) end
  if max < 1 or max > PLACES_MAX then
    errors.raise("invalid", "concurrency of %s: max must be from 1 to %d, not %d", what, PLACES_MAX, max)
  end
  return { group = value.group, max = max }
end

-- ====== Notifications ======

local function read_events(on, what)
  local list, seen = type(on) == "string" and { on } or on or DEFAULT_EVENTS, {}
  for _, event in ipairs(list) do
    local known = false
    for _, one in ipairs(EVENTS) do known = known or one == event end
    if not known then
      errors.raise("invalid", "%s: on must be of %s, not '%s'%s", what, table.concat(EVENTS, ", "), tostring(event),
        check.hint(tostring(event), EVENTS))
    end
    seen[event] = true
  end
  return seen
end

local function read_webhook(webhook, what)
  if webhook == nil or type(webhook) == "table" then return webhook and M.source(webhook, "webhook of " .. what) end
  if webhook:find "^https?://[^%s/]" then return webhook end
  errors.raise("invalid", "webhook of %s must be an http:// or https:// URL, or say where one is: { env = \"NAME\" }", what)
end

local function read_one(entry, what)
  check.options(entry, {
    on = "string|table|nil", webhook = "string|table|nil", email = "string|table|nil", call = "function|nil",
  }, what)
  local ways = (entry.webhook and 1 or 0) + (entry.email and 1 or 0) + (entry.call and 1 or 0)
  if ways ~= 1 then errors.raise("invalid", "%s needs one of webhook, email and call", what) end
  local emails = type(entry.email) == "string" and { entry.email } or entry.email
  for _, email in ipairs(emails or {}) do
    if type(email) ~= "string" or not email:find "^[^%s@<>]+@[^%s@<>]+$" then
      errors.raise("invalid", "email of %s must be an address, not '%s'", what, tostring(email))
    end
  end
  return {
    on = read_events(entry.on, what), webhook = read_webhook(entry.webhook, what), email = emails,
    call = entry.call and true or nil,
  }
end

---`notify` as a list of plain data, and the functions beside it, by their places in the list.
---@return table[]? entries, table<integer, function> calls
function M.notify(notify, what)
  if notify == nil then return nil, {} end
  local list, entries, calls = #notify > 0 and notify or { notify }, {}, {}
  for i, entry in ipairs(list) do
    local name = ("notify of %s"):format(what)
    check.type(entry, "table", "each entry in " .. name)
    entries[i], calls[i] = read_one(entry, name), entry.call
  end
  return entries, calls
end

return M
