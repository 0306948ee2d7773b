--- The API as an OpenAPI document, made from the routes themselves.

local cml = require "mlengine.up.cml"
local json = require "mlengine.json"

local M = {}

local MEDIA <const> = {
  json = "application/json", text = "text/plain", metrics = "text/plain", events = "text/event-stream", bytes = "application/octet-stream",
}

local function parameter(name, place, kind, description)
  return { name = name, ["in"] = place, required = place == "path", description = description, schema = { type = kind } }
end

local function parameters(route)
  local list = {}
  for name in route.path:gmatch "{(.-)}" do
    local kind = (name == "run" or name == "trigger") and "integer" or "string"
    list[#list + 1] = parameter(name, "path", kind, "its name" .. (kind == "integer" and ", a number" or ""))
  end
  local names = {}
  for name in pairs(route.query or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local about = route.query[name]
    list[#list + 1] = parameter(name, "query", about[1], about[2])
    list[#list].required = about.required == true
  end
  return json.array(list)
end

local function body_of(route)
  if not route.body then return nil end
  local properties = {}
  for name, about in pairs(route.body) do properties[name] = { type = about[1], description = about[2] } end
  local schema = { type = "object", properties = properties, additionalProperties = false }
  return { required = false, content = { ["application/json"] = { schema = schema } } }
end

local function responses(route)
  local kind = route.kind or "json"
  local schema = kind == "json" and {} or { type = "string" }
  if kind == "json" then schema = { type = route.returns:find "^an array" and "array" or "object" } end
  local answers = {
    [tostring(route.status or 200)] = { description = route.returns, content = { [MEDIA[kind]] = { schema = schema } } },
    default = { description = "what went wrong", content = { ["application/json"] = { schema = { ["$ref"] = "#/components/schemas/Error" } } } },
  }
  return answers
end

local function operation(route)
  local id = (route.method .. " " .. route.path:gsub("^/api/v1", "")):lower():gsub("[^%a]+", "_"):gsub("_+$", "")
  return {
    operationId = id, summary = route.summary, parameters = parameters(route), requestBody = body_of(route), responses = responses(route),
    security = (route.method ~= "GET" or cml.is_path(route.path)) and json.array { { token = json.array {} } } or nil,
  }
end

---@param routes mlengine.up.Route[]
---@return table
function M.document(routes)
  local paths = {}
  for _, route in ipairs(routes) do
    paths[route.path] = paths[route.path] or {}
    paths[route.path][route.method:lower()] = operation(route)
  end
  return {
    openapi = "3.1.0",
    info = {
      title = "mlengine up", version = require "mlengine.version",
      description = "Times are milliseconds since 1970. Changes need the token in .mlengine/up.token.",
    },
    paths = paths,
    components = {
      securitySchemes = { token = { type = "http", scheme = "bearer" } },
      schemas = { Error = { type = "object", required = json.array { "error" }, properties = { error = { type = "string" } } } },
    },
  }
end

return M
