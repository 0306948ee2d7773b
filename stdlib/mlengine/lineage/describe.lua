--- What is said of a node: a title, a line below it, and the details.

local format = require "mlengine.format"
local json = require "mlengine.json"

local M = {}

local REPLACEMENT <const> = "\u{FFFD}"

--- Invisible characters that turn the direction of what follows.
local function is_hidden(code)
  return code >= 0x200B and code <= 0x200F or code >= 0x202A and code <= 0x202E or code >= 0x2066 and code <= 0x2069
end

--- XML has no way to write these.
local function is_refused(code) return code >= 0xD800 and code <= 0xDFFF or code == 0xFFFE or code == 0xFFFF or code > 0x10FFFF end

---A name of whoever gave it, made harmless: no control character, nothing that is no UTF-8.
---@param text any
---@return string
function M.clean(text)
  text = tostring(text)
  local parts, at = {}, 1
  while at <= #text do
    local good, bad = utf8.len(text, at)
    local stop = good and #text or bad - 1
    for _, code in utf8.codes(text:sub(at, stop)) do
      local harmless = code >= 0x20 and (code < 0x7F or code > 0x9F) and not is_hidden(code) and not is_refused(code)
      parts[#parts + 1] = harmless and utf8.char(code) or REPLACEMENT
    end
    if not good then parts[#parts + 1] = REPLACEMENT end
    at = stop + (good and 1 or 2)
  end
  return table.concat(parts)
end

local function join(...)
  local found = {}
  for i = 1, select("#", ...) do
    local part = select(i, ...)
    if part and part ~= "" then found[#found + 1] = part end
  end
  return table.concat(found, "  ")
end

local function plural(count, what) return ("%s %s%s"):format(format.number(count), what, count == 1 and "" or "s") end

-- ====== Titles ======

local titles = {
  run = function(n) return join("run " .. n.run, n.job) end,
  mlflow_run = function(n) return "MLflow run " .. n.run_id end,
  model = function(n) return n.uri end,
  snapshot = function(n) return "snapshot " .. n.snapshot_id end,
  files = function(n) return n.gone and "data files" or plural(#n.files, "data file") end,
  deployment = function(n) return "endpoint " .. n.endpoint end,
}

local subtitles = {
  run = function(n)
    return join(n.state, n.rehearsal and "rehearsal (" .. n.rehearsal .. ")", n.created_ms and format.time(n.created_ms))
  end,
  mlflow_run = function(n) return join(n.status, not n.gone and "not in this project's state") end,
  model = function(n) return table.concat(n.aliases, ", ") end,
  snapshot = function(n)
    return join(n.table, n.operation, n.rows and plural(n.rows, "row"), n.timestamp_ms and format.time(n.timestamp_ms))
  end,
  files = function(n) return n.rows and join(plural(n.rows, "row"), format.bytes(n.bytes)) or "" end,
  deployment = function(n) return join(n.uri, n.state .. " (deployment " .. n.deployment .. ")", format.time(n.updated_ms)) end,
}

---@param node mlengine.lineage.Node
---@return string
function M.title(node) return M.clean(titles[node.kind](node)) end

---What is below the title; where the node is gone, that.
---@param node mlengine.lineage.Node
---@return string
function M.subtitle(node)
  local text = node.gone or subtitles[node.kind](node)
  return M.clean(text)
end

-- ====== Details: { name, text } ======

local now <const> = { same = "as it is now", changed = "changed since", gone = "no file now" }

local function describe_range(range)
  local read = range.read
  local text = ("%s%s: %s after %s up to %s"):format(range.table, range.branch ~= "main" and " (" .. range.branch .. ")" or "",
    plural(range.rows, "row"), range.from or "the beginning", range.to or "no snapshot")
  if read and (read.from ~= range.from or read.to ~= range.to) then
    text = ("%s; read the window after %s, %s"):format(text, read.from or "the beginning", plural(#read.snapshots, "snapshot"))
  elseif read and read.full then
    text = text .. ", all there were"
  end
  return range.held and ("%s (%s for a release)"):format(text, range.held) or text
end

local details = {}

function details.run(add, n)
  if n.gone then return end
  add("script", ("%s (%s)  sha256 %s"):format(n.script, now[n.script_now], n.sha256))
  if next(n.params) then add("params", json.encode(n.params)) end
  for _, range in ipairs(n.ranges) do add("read", describe_range(range)) end
  if n.mlflow then add("mlflow", join(n.mlflow.run_id, n.mlflow.gone or n.mlflow.status)) end
  for _, model in ipairs(n.logged) do
    add("logged", ("%s  %s bytes  sha256 %s"):format(model.name, format.number(model.bytes), model.sha256))
  end
  if n.reason then add("reason", n.reason) end
end

function details.model(add, n)
  if n.created_ms then add("made", join(format.time(n.created_ms), n.mlflow_run and "MLflow run " .. n.mlflow_run)) end
end

function details.mlflow_run(add, n)
  for _, tag in ipairs { "iceberg_table", "iceberg_snapshot_id", "iceberg_parent_id", "row_count" } do
    if n.tags and n.tags[tag] then add(tag, n.tags[tag]) end
  end
end

function details.deployment(add, n)
  add("copy", "sha256 " .. n.sha256)
  if n.outcome then add("outcome", n.outcome) end
end

---@param node mlengine.lineage.Node
---@return { [1]: string, [2]: string }[]
function M.details(node)
  local found = {}
  local function add(name, text) found[#found + 1] = { name, M.clean(text) } end
  if details[node.kind] then details[node.kind](add, node) end
  return found
end

return M
