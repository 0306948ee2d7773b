--- Registered models, their versions and aliases, under the names of Python's MlflowClient.
--- In a rehearsal nothing of the registry changes.

local check = require "mlengine.check"
local context = require "mlengine.context"
local here = require "mlengine.mlflow.here"
local origin = require "mlengine.mlflow.origin"
local raise = require("mlengine.error").raise
local text = require "mlengine.mlflow.text"

local M = {}

---@class mlengine.mlflow.RegisteredModel
---@field name string
---@field description? string
---@field creation_time integer     milliseconds since 1970 UTC
---@field last_updated_time integer
---@field tags table<string, string>
---@field aliases table<string, integer> alias to version

local function with_aliases(model)
  for alias, version in pairs(model.aliases) do model.aliases[alias] = math.tointeger(tonumber(version)) end
  return model
end

-- ====== Registering ======

---@class mlengine.mlflow.Registered
---@field name string
---@field version? integer      nil in a rehearsal
---@field uri string            models:/NAME/VERSION; in a rehearsal the logged model's own
---@field rehearsal? boolean

--- Tags of the run that logged the model; of none where it has no run.
local function tags_of_source(store, uri)
  local run_id = store:resolve(uri).run_id
  if not run_id then return {} end
  local ok, data = pcall(store.get_run_data, store, run_id)
  return ok and origin.version_tags(data.tags) or {}
end

---Registers a logged model under a name, as its next version. In a rehearsal nothing is
---registered, and the uri is the logged model's own.
---@param logged mlengine.mlflow.Logged|string what run:log_model gave, or its uri
---@param name string
---@param options? { tags?: table<string, any> }
---@return mlengine.mlflow.Registered
function M.register_model(logged, name, options)
  local uri = type(logged) == "table" and logged.uri or logged
  check.type(uri, "string", "what mlflow.register_model takes")
  check.type(name, "string", "the name of a registered model")
  options = check.options(options, { tags = "table|nil" }, "mlflow.register_model")
  local job = context.current()
  if job and job.rehearsal then return { name = name, uri = uri, rehearsal = true } end
  local store = here.store()
  local tags = tags_of_source(store, uri)
  for key, value in pairs(text.all(options.tags or {}, "tag")) do tags[key] = value end
  local version = store:register(uri, name, tags)
  local registered = { name = name, version = version, uri = ("models:/%s/%d"):format(name, version) }
  if job then
    job:note("model", { text = registered.uri, name = name, version = version, uri = registered.uri })
  end
  return registered
end

-- ====== Registered models ======

---@param name string
---@param options? { tags?: table<string, any>, description?: string }
function M.create_registered_model(name, options)
  check.type(name, "string", "the name of a registered model")
  options = check.options(options, { tags = "table|nil", description = "string|nil" }, "mlflow.create_registered_model")
  if here.rehearses("registered model '%s'", name) then return end
  local store = here.store()
  store:create_registered_model(name, options.description)
  local tags = text.all(options.tags or {}, "tag")
  if next(tags) then store:change_registered_model(name, { set_tags = tags }) end
end

---@param name string
---@return mlengine.mlflow.RegisteredModel
function M.get_registered_model(name) return with_aliases(here.store():get_registered_model(name)) end

---Searches by name and tags, by name. The list's `token` is the `page_token` of the next page.
---@param options? { filter_string?: string, order_by?: string|string[], max_results?: integer, page_token?: string }
---@return mlengine.mlflow.RegisteredModel[]
function M.search_registered_models(options)
  local found = here.store():search_registered_models(here.search(options, "mlflow.search_registered_models"))
  for _, model in ipairs(found) do with_aliases(model) end
  return found
end

local function change_model(name, change, what)
  check.type(name, "string", "the name of a registered model")
  if here.rehearses("%s of registered model '%s'", what, name) then return end
  here.store():change_registered_model(name, change)
end

---@param name string
---@param description string
function M.update_registered_model(name, description)
  change_model(name, { description = check.type(description, "string", "a description") }, "the description")
end

---@param name string
---@param new_name string
function M.rename_registered_model(name, new_name)
  change_model(name, { name = check.type(new_name, "string", "a new name") }, "the new name")
end

---@param name string
---@param key string
---@param value any
function M.set_registered_model_tag(name, key, value)
  change_model(name, { set_tags = text.all({ [key] = value }, "tag") }, "a tag")
end

---@param name string
---@param key string
function M.delete_registered_model_tag(name, key)
  change_model(name, { delete_tag = check.type(key, "string", "a tag's name") }, "deleting a tag")
end

---Deletes a registered model with its versions, aliases and tags; the files stay.
---@param name string
function M.delete_registered_model(name)
  check.type(name, "string", "the name of a registered model")
  if here.rehearses("deleting registered model '%s'", name) then return end
  here.store():delete_registered_model(name)
end

-- ====== Versions ======

---@param name string
---@param version integer
---@return mle.mlflow.Version
function M.get_model_version(name, version) return here.store():get_version(name, version) end

---The version an alias points at.
---@param name string
---@param alias string
---@return mle.mlflow.Version? nil when the alias is not set
function M.get_model_version_by_alias(name, alias)
  local version = M.get_alias(name, alias)
  return version and M.get_model_version(name, version)
end

---The versions of a registered model, newest first.
---@param name string
---@return mle.mlflow.Version[]
function M.get_model_versions(name) return here.store():list_versions(name) end

---Searches by name, version_number, run_id, source_path and tags, what changed last first.
---The list's `token` is the `page_token` of the next page.
---@param options? { filter_string?: string, order_by?: string|string[], max_results?: integer, page_token?: string }
---@return mle.mlflow.Version[]
function M.search_model_versions(options)
  return here.store():search_versions(here.search(options, "mlflow.search_model_versions"))
end

local function change_version(name, version, change, what)
  check.type(name, "string", "the name of a registered model")
  check.type(version, "integer", "a version")
  if here.rehearses("%s of models:/%s/%d", what, name, version) then return end
  here.store():change_version(name, version, change)
end

---@param name string
---@param version integer
---@param description string
function M.update_model_version(name, version, description)
  change_version(name, version, { description = check.type(description, "string", "a description") }, "the description")
end

---@param name string
---@param version integer
---@param key string
---@param value any
function M.set_model_version_tag(name, version, key, value)
  change_version(name, version, { set_tags = text.all({ [key] = value }, "tag") }, ("tag '%s'"):format(key))
end

---@param name string
---@param version integer
---@param key string
function M.delete_model_version_tag(name, version, key)
  change_version(name, version, { delete_tag = check.type(key, "string", "a tag's name") }, "deleting a tag")
end

---Deletes a version with its aliases and tags. Its number is not given again; the files stay.
---@param name string
---@param version integer
function M.delete_model_version(name, version)
  check.type(name, "string", "the name of a registered model")
  check.type(version, "integer", "a version")
  if here.rehearses("deleting models:/%s/%d", name, version) then return end
  here.store():delete_version(name, version)
end

---Copies a version, with tags and description, as the next one of another registered model.
---@param src_model_uri string models:/NAME/VERSION or models:/NAME@ALIAS
---@param dst_name string
---@return mlengine.mlflow.Registered
function M.copy_model_version(src_model_uri, dst_name)
  check.type(src_model_uri, "string", "the model to copy")
  check.type(dst_name, "string", "the name of a registered model")
  local name, alias = src_model_uri:match "^models:/([^/@]+)@(.+)$"
  local version = name and M.get_alias(name, alias)
  if not name then
    name, version = src_model_uri:match "^models:/([^/@]+)/(%d+)$"
    version = math.tointeger(tonumber(version))
  end
  if not version then
    raise("invalid", ("mlflow.copy_model_version takes models:/NAME/VERSION or a set alias, not '%s'"):format(src_model_uri))
  end
  if here.rehearses("copying models:/%s/%d to '%s'", name, version, dst_name) then
    return { name = dst_name, uri = src_model_uri, rehearsal = true }
  end
  local copy = here.store():copy_version(name, version, dst_name)
  return { name = dst_name, version = copy, uri = ("models:/%s/%d"):format(dst_name, copy) }
end

-- ====== Aliases ======

--- What the job has done itself holds for what it asks after.
local function told(name, alias, version)
  local job = context.current()
  if job then job:answer("alias", name .. "@" .. alias, version) end
end

---Points an alias at a version; moves it when it is set.
---@param name string
---@param alias string
---@param version integer
function M.set_alias(name, alias, version)
  told(name, alias, version)
  if here.rehearses("alias models:/%s@%s", name, alias) then return end
  here.store():set_alias(name, alias, version)
end

---In a job the answer is recorded: `mlengine reproduce` gives it again.
---@param name string
---@param alias string
---@return integer? version nil when the alias is not set
function M.get_alias(name, alias)
  local function ask() return here.store():get_alias(name, alias) end
  local job = context.current()
  if not job then return ask() end
  return job:recall("alias", name .. "@" .. alias, ask)
end

---@param name string
---@param alias string
function M.delete_alias(name, alias)
  told(name, alias, nil)
  if here.rehearses("deleting alias models:/%s@%s", name, alias) then return end
  here.store():delete_alias(name, alias)
end

return M
