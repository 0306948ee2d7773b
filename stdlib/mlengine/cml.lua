--- Cloudera Machine Learning (Cloudera AI) by its API v2.
---
---     local client = cml.client { project = "mlops" }
---     for _, job in ipairs(client:list_jobs { sort = "+name" }) do print(job.name, job.type) end
---     local run = client:create_job_run { job_id = id, environment = { BATCH = "7" } }
---
--- Operations have the names of CML's Python client. Each takes one table: what its path names is taken from
--- there, the rest is the query of a GET, and the body of all else. Lists come whole, page after page.
--- Inside the platform CDSW_API_URL, CDSW_APIV2_KEY and CDSW_PROJECT_ID say where, who and which project.

local check = require "mlengine.check"
local errors = require "mlengine.error"
local http = require "mlengine.http"
local json = require "mlengine.json"
local operations = require "mlengine.cml.operations"
local system = require "mle.system"

local M = {}

local PAGE <const>, PAGES_MAX <const> = 100, 1000
local TIMEOUT <const> = 60 -- CML's own gateway gives up after 30
local WORDS_MAX <const> = 500
local FILE_MAX <const> = 4 << 30

---@class mlengine.cml.Client
---@field url string
---@field project? string a project's id or name
---@field ca_file? string
local Client = {}

--- Keys by client: one that is printed or logged has none.
local keys = setmetatable({}, { __mode = "k" })

-- ====== What goes there, and what comes back ======

local function quote(text)
  return (tostring(text):gsub("[^%w%-._~/]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function query_of(parameters)
  local names, pairs_of = {}, {}
  for name in pairs(parameters) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    local value = parameters[name]
    if type(value) == "table" then value = json.encode(value) end
    pairs_of[i] = name .. "=" .. quote(value):gsub("/", "%%2F")
  end
  return #names > 0 and "?" .. table.concat(pairs_of, "&") or ""
end

--- 64-bit numbers come as text, and a job's environment, too.
local numbers <const> = { timeout = true, file_size = true, step = true, engine_image_id = true }

local function typed(value, key)
  if value == json.null then return nil end
  if type(value) == "table" then
    local made = #value > 0 and json.array {} or {}
    for name, item in pairs(value) do made[name] = typed(item, name) end
    return made
  end
  if type(value) ~= "string" then return value end
  if numbers[key] then return math.tointeger(tonumber(value)) or value end
  if key == "environment" then
    local ok, map = pcall(json.decode, value)
    return ok and type(map) == "table" and map or {}
  end
  return value
end

local kinds <const> = {
  [400] = "invalid", [401] = "refused", [403] = "refused", [404] = "not found", [409] = "conflict", [501] = "unsupported",
}

--- CML's own words, of its JSON or of whatever a gateway in front of it says.
local function words_of(answer)
  local ok, body = pcall(answer.json)
  local words = ok and type(body) == "table" and (body.message or body.error)
  if type(words) ~= "string" then words = answer.body:gsub("<[^>]*>", " ") end
  return (words:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""):sub(1, WORDS_MAX))
end

local function raise(answer, client, what)
  local advice = answer.status == 401 and "; $CDSW_APIV2_KEY must hold a key of API v2" or ""
  local text = ("CML at %s, %s: %s (status %d)%s"):format(client.url, what, words_of(answer), answer.status, advice)
  local problem = errors.new(kinds[answer.status] or "io", text, errors.where(2))
  problem.status = answer.status
  problem.retryable = answer.status >= 500 or answer.status == 429
  error(problem, 0)
end

-- ====== Requests ======

function Client:send(method, path, options, what)
  options.headers = options.headers or {}
  options.headers.Authorization = "Bearer " .. keys[self]
  options.timeout, options.ca_file = options.timeout or TIMEOUT, self.ca_file
  local answer = http.request(method, self.url .. "/api/v2/" .. path, options)
  if answer.status < 200 or answer.status >= 300 then raise(answer, self, what) end
  return answer
end

--- A page for people, like a login's, comes with status 200, too.
local function decoded(answer, client, what)
  local ok, value = pcall(answer.json)
  if ok and type(value) == "table" and #value == 0 then return value end
  errors.raise("format", "CML at %s, %s: the answer is no JSON object, but: %s", client.url, what, words_of(answer))
end

local function path_of(client, name, template, given)
  return (template:gsub("{([%w_]+)}", function(field)
    local value = given[field]
    if field == "project_id" and value == nil then value = client:project_id() end
    given[field] = nil
    return quote(check.type(value, "string", ("'%s' of %s"):format(field, name)))
  end))
end

local function list(client, name, path, key, parameters)
  local all, seen = {}, {}
  parameters.page_size = parameters.page_size or PAGE
  for _ = 1, PAGES_MAX do
    local page = decoded(client:send("GET", path .. query_of(parameters), {}, name), client, name)
    for _, item in ipairs(type(page[key]) == "table" and page[key] or {}) do all[#all + 1] = typed(item) end
    local token = page.next_page_token
    if type(token) ~= "string" or token == "" then return all end
    if seen[token] then break end
    seen[token], parameters.page_token = true, token
  end
  errors.raise("format", "CML at %s, %s: the pages do not end", client.url, name)
end

local function call(client, name, given)
  local operation, rest = operations[name], {}
  for key, value in pairs(check.type(given, "table|nil", "what client:" .. name .. " takes") or {}) do rest[key] = value end
  local method, path = operation[1], path_of(client, name, operation[2], rest)
  if operation[3] then return list(client, name, path, operation[3], rest) end
  if method == "GET" then return typed(decoded(client:send(method, path .. query_of(rest), {}, name), client, name)) end
  if name:find "^update_" and type(rest.environment) == "table" then rest.environment = json.encode(rest.environment) end
  local answer = client:send(method, path, method ~= "DELETE" and { json = rest } or {}, name)
  return typed(answer.body ~= "" and decoded(answer, client, name) or {})
end

-- ====== Projects and files ======

---The project's id; its name is looked up once.
---@return string
function Client:project_id()
  if self.found then return self.found end
  local wanted = self.project or os.getenv "CDSW_PROJECT_ID"
  if not wanted or wanted == "" then
    errors.raise("invalid", "CML's project is not named: option 'project', or $CDSW_PROJECT_ID")
  end
  if wanted:find "^%w%w%w%w%-%w%w%w%w%-%w%w%w%w%-%w%w%w%w$" then
    self.found = wanted
    return wanted
  end
  local names = {}
  for i, project in ipairs(self:list_projects { search_filter = { name = wanted } }) do
    if project.name == wanted then self.found = project.id end
    names[i] = project.name
  end
  if not self.found then
    errors.raise("not found", "CML at %s has no project '%s'%s", self.url, wanted, check.hint(wanted, names))
  end
  return self.found
end

---Writes a file of the project; one that is there is replaced.
---@param path string in the project
---@param bytes string
function Client:upload_file(path, bytes)
  check.type(path, "string", "the path of client:upload_file")
  if path:find '[%c"]' or path:find "^/" or ("/" .. path .. "/"):find("/../", 1, true) then
    errors.raise("invalid", "the path of a file in CML's project must be relative and without '\"': '%s'", path)
  end
  local boundary = "mlengine-" .. system.uuid()
  local body = ('--%s\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n'):format(boundary, path, path:match "[^/]+$")
    .. ("Content-Type: application/octet-stream\r\n\r\n%s\r\n--%s--\r\n"):format(bytes, boundary)
  self:send("POST", ("projects/%s/files"):format(quote(self:project_id())), {
    body = body, headers = { ["Content-Type"] = "multipart/form-data; boundary=" .. boundary }, idempotent = true, timeout = 600,
  }, "upload_file " .. path)
end

---The bytes of a file of the project; nil when there is none.
---@param path string
---@return string?
function Client:download_project_file(path)
  local place = ("projects/%s/files/%s:download"):format(quote(self:project_id()), quote(path))
  local ok, answer = pcall(self.send, self, "POST", place, { idempotent = true, timeout = 600, response_max = FILE_MAX }, "download_project_file " .. path)
  if ok then return answer.body end
  if type(answer) == "table" and answer.status == 404 then return nil end
  error(answer, 0)
end

-- ====== Clients ======

local meta = {
  __name = "mlengine.cml.Client",
  __tostring = function(client) return "CML at " .. client.url end,
  __index = function(_, name)
    if Client[name] or not operations[name] then return Client[name] end
    return function(client, given) return call(client, name, given) end
  end,
}

local function setting(value, variable, option)
  value = value or os.getenv(variable)
  if value and value ~= "" then return value end
  errors.raise("invalid", "CML is not configured: option '%s', or $%s, which is set inside the platform", option, variable)
end

---A client of API v2.
---@param options? { url?: string, key?: string, project?: string, ca_file?: string } url: default $CDSW_API_URL, of which
---scheme and host count; key: default $CDSW_APIV2_KEY; project: an id or a name, default $CDSW_PROJECT_ID; ca_file: PEM
---@return mlengine.cml.Client
function M.client(options)
  local known <const> = { url = "string|nil", key = "string|nil", project = "string|nil", ca_file = "string|nil" }
  options = check.options(options, known, "cml.client")
  local url = setting(options.url, "CDSW_API_URL", "url")
  local host = url:match "^https?://[^/]+"
  if not host then errors.raise("invalid", "the URL of CML must begin with http:// or https://, not '%s'", url) end
  local client = setmetatable({ url = host, project = options.project, ca_file = options.ca_file }, meta)
  keys[client] = setting(options.key, "CDSW_APIV2_KEY", "key")
  return client
end

---The page of the workspace where a model's builds, deployments and logs are.
---@param client mlengine.cml.Client
---@param model_id string
---@return string
function M.model_page(client, model_id)
  return ("%s (project %s, Models, model %s, Monitoring and Builds)"):format(client.url, client:project_id(), model_id)
end

return M
