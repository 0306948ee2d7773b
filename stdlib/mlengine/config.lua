--- Settings: defaults, then mlengine.conf.lua, then the environment, then flags.
---
---     -- mlengine.conf.lua: data only, nothing is called
---     catalogs = { default = { uri = "sqlite:///.mlengine/catalog.db", warehouse = "warehouse" } }
---     mlflow   = { tracking_uri = "sqlite:///mlflow.db" }
---     serving  = { host = "127.0.0.1", port = 8700 }
---     jobs     = { timeout = "24h" }
---     up       = { host = "127.0.0.1", port = 8701 }
---     history  = { days = 365, runs = 1000000 }
---
--- Catalogs take PyIceberg's property names, its environment variables and its .pyiceberg.yaml,
--- which is the weakest of the three.

local check = require "mlengine.check"
local flatten = require("mlengine.iceberg.properties").flatten
local project = require "mlengine.project"
local raise = require("mlengine.error").raise
local system = require "mle.system"

local M = {}

--- What each section may hold, and the environment variable of each setting.
local sections <const> = {
  mlflow = { tracking_uri = { types = "string|nil", variable = "MLFLOW_TRACKING_URI" } },
  serving = {
    host = { types = "string|nil", variable = "MLENGINE_SERVING_HOST" },
    port = { types = "integer|nil", variable = "MLENGINE_SERVING_PORT" },
    tls_cert = { types = "string|nil", variable = "MLENGINE_SERVING_TLS_CERT" },
    tls_key = { types = "string|nil", variable = "MLENGINE_SERVING_TLS_KEY" },
  },
  up = {
    host = { types = "string|nil", variable = "MLENGINE_UP_HOST" },
    port = { types = "integer|nil", variable = "MLENGINE_UP_PORT" },
  },
  history = {
    days = { types = "integer|nil", variable = "MLENGINE_HISTORY_DAYS" },
    runs = { types = "integer|nil", variable = "MLENGINE_HISTORY_RUNS" },
  },
  mail = {
    url = { types = "string|nil", variable = "MLENGINE_MAIL_URL" },
    from = { types = "string|nil", variable = "MLENGINE_MAIL_FROM" },
    user = { types = "string|nil", variable = "MLENGINE_MAIL_USER" },
    password = { types = "table|nil" },
    ca_file = { types = "string|nil", variable = "MLENGINE_MAIL_CA_FILE" },
  },
  jobs = {
    timeout = { types = "string|integer|nil", variable = "MLENGINE_JOBS_TIMEOUT" },
    cgroup = { types = "string|nil", variable = "MLENGINE_JOBS_CGROUP" },
  },
}

local defaults <const> = {
  mlflow = { tracking_uri = "sqlite:///mlflow.db" },
  serving = { host = "127.0.0.1", port = 8700 },
  up = { host = "127.0.0.1", port = 8701 },
  history = { days = 365, runs = 1000000 },
  jobs = { timeout = "24h", cgroup = "auto" },
  mail = {},
}

local GROUP_OR_OTHERS_WRITE <const> = 18 -- octal 022

local settings, flags = nil, {}

-- ====== The file ======

--- Whoever writes the file says where models and credentials go, so it must be ours.
local function refuse_foreign(path)
  local info = system.stat(path)
  if info.uid ~= system.uid() then
    raise("refused", "%s belongs to user %d, not to you (%d); chown it, or run as its owner",
      path, info.uid, system.uid())
  end
  if info.mode & GROUP_OR_OTHERS_WRITE ~= 0 then
    raise("refused", "%s may be written by other users (mode %o); chmod go-w %s",
      path, info.mode, path)
  end
end

local function check_catalogs(catalogs, path)
  for name, properties in pairs(catalogs or {}) do
    local what = ("catalogs.%s in %s"):format(name, path)
    check.type(properties, "table", what)
    local rewrite = properties["location-rewrite"]
    if rewrite ~= nil then check.type(rewrite, "table", "location-rewrite of " .. what) end
    catalogs[name] = flatten(properties, {}, what)
  end
end

local function check_file(data, path)
  local types = { catalogs = "table|nil" }
  for section in pairs(sections) do types[section] = "table|nil" end
  check.options(data, types, path)
  for section, names in pairs(sections) do
    local known = {}
    for name, setting in pairs(names) do known[name] = setting.types end
    check.options(data[section], known, ("%s in %s"):format(section, path))
  end
  check_catalogs(data.catalogs, path)
end

local function read_file(path)
  if not path then return {} end
  refuse_foreign(path)
  local ok, data = pcall(require("mle.data").read, system.read(path), "@" .. path)
  if not ok then raise("invalid", data .. "; mlengine help config shows one that works") end
  check_file(data, path)
  return data
end

-- ====== PyIceberg's file ======

local PYICEBERG_FILE <const> = ".pyiceberg.yaml"

local function lower_keys(value)
  if type(value) ~= "table" then return value end
  local lower = {}
  for key, item in pairs(value) do lower[type(key) == "string" and key:lower() or key] = lower_keys(item) end
  return lower
end

--- PyIceberg takes the first of these that it finds, and so do we.
local function find_pyiceberg()
  for _, folder in ipairs { os.getenv "PYICEBERG_HOME" or "", os.getenv "HOME" or "", "." } do
    local path = folder ~= "" and system.absolute(folder .. "/" .. PYICEBERG_FILE)
    if path and system.stat(path) then return path end
  end
end

--- Read only when a catalog is asked for: nothing else depends on it.
local function catalogs_of_pyiceberg()
  local path = find_pyiceberg()
  if not path then return {} end
  refuse_foreign(path)
  local ok, data = pcall(require("mle.json").decode_yaml, system.read(path))
  if not ok then raise("invalid", ("%s: %s"):format(path, type(data) == "table" and data.message or data)) end
  local catalogs = type(data) == "table" and lower_keys(data).catalog
  if type(catalogs) ~= "table" then return {} end
  check_catalogs(catalogs, path)
  return catalogs
end

-- ====== The environment ======

--- PyIceberg's rule: PYICEBERG_CATALOG__DEFAULT__S3__ACCESS_KEY_ID is the property
--- s3.access-key-id of the catalog default.
local function catalogs_of_environment()
  local catalogs = {}
  for variable, value in pairs(system.environment "PYICEBERG_CATALOG__") do
    local name, property = variable:lower():match "^pyiceberg_catalog__(.-)__(.+)$"
    if name then
      name = name:gsub("_", "-")
      property = property:gsub("__", "."):gsub("_", "-")
      catalogs[name] = catalogs[name] or {}
      catalogs[name][property] = value
    end
  end
  return catalogs
end

local function from_environment(setting)
  local text = setting.variable and os.getenv(setting.variable)
  if not text or text == "" then return nil end
  if not setting.types:find("integer", 1, true) then return text end
  local number = math.tointeger(tonumber(text))
  if number or setting.types:find("string", 1, true) then return number or text end
  raise("invalid", ("$%s must be a whole number, not '%s'"):format(setting.variable, text))
end

-- ====== Merging ======

local function overlay(base, over)
  for key, value in pairs(over or {}) do base[key] = value end
  return base
end

local function merge_sections(file)
  local merged = {}
  for section, names in pairs(sections) do
    merged[section] = overlay(overlay({}, defaults[section]), file[section])
    for name, setting in pairs(names) do
      local value = from_environment(setting)
      if value ~= nil then merged[section][name] = value end
    end
    overlay(merged[section], flags[section])
  end
  return merged
end

local function merge_catalogs(file)
  local merged = { default = {} }
  for _, source in ipairs { catalogs_of_pyiceberg(), file.catalogs or {}, catalogs_of_environment() } do
    for name, properties in pairs(source) do
      merged[name] = overlay(merged[name] or {}, properties)
    end
  end
  return merged
end

local function load_settings()
  if not settings then
    local file = read_file(project.current().config)
    settings = merge_sections(file)
    settings.file = file
  end
  return settings
end

local function load_catalogs()
  local all = load_settings()
  all.catalogs = all.catalogs or merge_catalogs(all.file)
  return all.catalogs
end

---Forgets what was read, so that the next question reads again.
function M.reload() settings = nil end

---A setting given on the command line; it wins over file and environment.
---@param section "mlflow"|"serving"|"jobs"
---@param name string
---@param value any nil takes it back
function M.set_flag(section, name, value)
  local setting = assert(sections[section] and sections[section][name], "no such setting")
  check.type(value, setting.types, section .. "." .. name)
  flags[section] = flags[section] or {}
  flags[section][name] = value
  M.reload()
end

-- ====== What others ask for ======

--- SQLAlchemy's and MLflow's spelling: three slashes begin a relative path, four an absolute one.
local function absolute_uri(uri)
  local path = uri:match "^sqlite:///([^/].*)$"
  if path and path ~= ":memory:" then return "sqlite:///" .. project.path(path) end
  if uri:find "^%a[%w+.-]*:" then return uri end
  return project.path(uri)
end

local function type_of_uri(uri)
  if uri:find "^https?:" then return "rest" end
  if uri:find "^sqlite:" or uri:find "^postgres" or uri:find "^jdbc:" then return "sql" end
  if uri:find "^thrift:" then return "hive" end
  return nil
end

local function complete_catalog(name, properties)
  if name == "default" and not properties.uri and (properties.type or "sql") == "sql" then
    properties.type = "sql"
    properties.uri = "sqlite:///.mlengine/catalog.db"
    properties.warehouse = properties.warehouse or ".mlengine/warehouse"
  end
  properties.type = properties.type or type_of_uri(properties.uri or "")
  if properties.type == "rest" then return properties end -- its warehouse is a name that the server knows
  for _, key in ipairs { "uri", "warehouse" } do
    if properties[key] then properties[key] = absolute_uri(properties[key]) end
  end
  if properties.warehouse and properties.warehouse:sub(1, 1) == "/" then
    properties.warehouse = "file://" .. properties.warehouse
  end
  return properties
end

---The properties of an Iceberg catalog, under PyIceberg's names; paths are absolute.
---@param name? string "default"
---@return table<string, string>
function M.catalog(name)
  name = name or "default"
  local catalogs = load_catalogs()
  if catalogs[name] then return complete_catalog(name, overlay({}, catalogs[name])) end
  local names = {}
  for known in pairs(catalogs) do names[#names + 1] = known end
  raise("not found", ("there is no catalog '%s'%s; add it to catalogs in %s, or set PYICEBERG_CATALOG__%s__URI"):format(
    name, check.hint(name, names), project.CONFIG_NAME, name:upper():gsub("-", "_")))
end

---The MLflow tracking URI; a relative SQLite path is the project's.
---@return string
function M.tracking_uri() return absolute_uri(load_settings().mlflow.tracking_uri) end

local function address(section)
  local settings_of = overlay({}, load_settings()[section])
  if settings_of.port < 0 or settings_of.port > 65535 then
    raise("invalid", "%s.port must be from 0 to 65535, not %d", section, settings_of.port)
  end
  return settings_of
end

---Where this project's model server listens, and with which certificate.
---@return { host: string, port: integer, tls_cert?: string, tls_key?: string }
function M.serving()
  local serving = address "serving"
  if (serving.tls_cert == nil) ~= (serving.tls_key == nil) then
    raise("invalid", "serving.tls_cert and serving.tls_key go together: one is missing")
  end
  for _, key in ipairs { "tls_cert", "tls_key" } do
    serving[key] = serving[key] and project.path(serving[key])
  end
  return serving
end

---Where `mlengine up` listens.
---@return { host: string, port: integer }
function M.up() return address "up" end

---How much is remembered of what ran; 0 is no limit.
---@return { days: integer, runs: integer }
function M.history()
  local history = overlay({}, load_settings().history)
  if history.days < 0 or history.runs < 0 then raise("invalid", "history.days and history.runs must not be negative") end
  return history
end

---The server that sends mails; `password` says where the password is.
---@return { url?: string, from?: string, user?: string, password?: { env?: string, file?: string }, ca_file?: string }
function M.mail()
  local mail = overlay({}, load_settings().mail)
  mail.password = mail.password and require("mlengine.pipeline.fields").source(mail.password, "mail.password")
  return mail
end

---What holds for every job that does not say otherwise.
---@return { timeout: string|integer, cgroup: "auto"|"none" }
function M.jobs()
  local jobs = overlay({}, load_settings().jobs)
  if jobs.cgroup ~= "auto" and jobs.cgroup ~= "none" then
    raise("invalid", "jobs.cgroup must be \"auto\" or \"none\", not '%s'", tostring(jobs.cgroup))
  end
  return jobs
end

return M
