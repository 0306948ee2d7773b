--- The tracking store that this process uses.

local check = require "mlengine.check"
local context = require "mlengine.context"
local log = require "mlengine.log"
local native = require "mle.mlflow"
local system = require "mle.system"

local M = {}

local stores, chosen_uri = {}, nil

---The store that this process uses: $MLFLOW_TRACKING_URI, or the project's mlflow.db.
---@return string
function M.get_tracking_uri() return chosen_uri or require("mlengine.config").tracking_uri() end

---Uses another store from now on: sqlite:///relative.db, sqlite:////absolute.db, or a
---tracking server's http://HOST:PORT, or CML's experiments, cml://localhost.
---@param uri? string nil: the project's again
function M.set_tracking_uri(uri)
  check.type(uri, "string|nil", "a tracking URI")
  local path = uri and uri:match "^sqlite:///([^/].*)$"
  chosen_uri = path and "sqlite:///" .. system.absolute(path) or uri
end

---A URI as it may be written down: a server's user and password stay out of every record.
---@param uri string
---@return string
function M.public(uri) return (uri:gsub("^(%a+://)[^/@]*@", "%1")) end

---@param uri string
---@return mle.mlflow.Store
function M.open(uri)
  local mine = M.get_tracking_uri()
  if uri == M.public(mine) then uri = mine end -- it was written down without them
  stores[uri] = stores[uri] or uri:find "^cml:" and require("mlengine.cml.store").open(uri) or native.open(uri)
  return stores[uri]
end

---@return mle.mlflow.Store
function M.store() return M.open(M.get_tracking_uri()) end

---Whether the registry stays as it is; says so.
---@param what string
---@param ... any of `what`
---@return boolean
function M.rehearses(what, ...)
  local job = context.current()
  if job and not job.rehearsal then job:acts("it does this: " .. what:format(...)) end
  if not job or not job.rehearsal then return false end
  log.info("rehearsal: %s is left undone", what:format(...))
  return true
end

local search_options <const> = {
  filter_string = "string|nil",
  order_by = "string|table|nil",
  max_results = "integer|nil",
  page_token = "string|nil",
  view_type = "string|nil",
}

---Options of a search by Python's names, as the store takes them.
---@param options? table
---@param what string
---@return table
function M.search(options, what)
  options = check.options(options, search_options, what)
  local order = options.order_by
  return {
    filter = options.filter_string,
    order_by = type(order) == "string" and { order } or order,
    max = options.max_results,
    page_token = options.page_token,
    view = options.view_type,
  }
end

return M
