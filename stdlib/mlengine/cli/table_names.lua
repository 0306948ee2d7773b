--- `mlengine table list|namespaces|create|drop|rename|register|orphans`: what is about names, not about one version.

local errors = require "mlengine.error"
local format = require "mlengine.format"
local json = require "mlengine.json"

local M = {}

--- The catalog that a name is in, and the rest of the name: of two parts or more the first may be a catalog of
--- the project.
local function split(name, least)
  local iceberg, config = require "mlengine.iceberg", require "mlengine.config"
  local first, rest = name:match("^([^.]+)%.(" .. least .. ")$")
  if first and pcall(config.catalog, first) then return iceberg.catalog(first), rest end
  return iceberg.catalog(), name
end

local function of_table(name) return split(name, ".+%..+") end

---@param names string[]
local function print_names(names, given, none)
  if given.json then return print(json.encode(json.array(names), true)) end
  if #names == 0 then return print(none) end
  for _, name in ipairs(names) do print(name) end
end

--- "archive", "archive.bank", "bank": a catalog, a namespace, or nothing.
local function catalog_and_namespace(name)
  local iceberg, config = require "mlengine.iceberg", require "mlengine.config"
  if not name then return iceberg.catalog(), nil end
  local catalog, namespace = split(name, ".+")
  if namespace == name and not name:find(".", 1, true) and not catalog:namespace_exists(name) and pcall(config.catalog, name) then
    return iceberg.catalog(name), nil
  end
  return catalog, namespace
end

function M.list(name, given)
  local catalog, namespace = catalog_and_namespace(name)
  print_names(catalog:list_tables(namespace), given, "no tables yet")
end

function M.namespaces(name, given)
  local catalog, namespace = catalog_and_namespace(name)
  print_names(catalog:list_namespaces(namespace), given, "no namespaces yet")
end

--- The parts of "a, b(1, 2)": commas within brackets part nothing.
local function parts_of(list)
  local parts = {}
  for part in list:gsub("%b()", function(p) return (p:gsub(",", "\0")) end):gmatch "[^,]+" do
    parts[#parts + 1] = part:gsub("%z", ","):match "^%s*(.-)%s*$"
  end
  return parts
end

--- "id bigint, price decimal(9, 2)": what DuckDB makes of it is what a frame of it would have.
local function schema_of(columns)
  local list = {}
  for _, part in ipairs(parts_of(columns)) do
    local column, sql_type = part:match '^"?([^%s"]+)"?%s+(.-)$'
    if not column or sql_type == "" then
      errors.raise("usage", ("'%s' is no column; write --columns 'id bigint, price decimal(9, 2)'"):format(part))
    end
    list[#list + 1] = { name = column, type = sql_type:upper() }
  end
  return list
end

function M.create(name, given)
  if not given.columns then errors.raise("usage", "table create needs --columns, as in 'id bigint, price decimal(9, 2)'") end
  local catalog, rest = of_table(name)
  local made = catalog:create_table(rest, schema_of(given.columns), {
    partition_by = given.partition_by and parts_of(given.partition_by),
  })
  print(("made %s at %s"):format(made.name, made.location))
end

function M.drop(name)
  local catalog, rest = of_table(name)
  catalog:drop_table(rest)
  print(("dropped %s; %s"):format(rest, catalog.properties.type == "hadoop" and "its files are gone" or "its files stay"))
end

function M.rename(name, _, to)
  local catalog, rest = of_table(name)
  local made = catalog:rename_table(rest, to)
  print(("%s is now %s"):format(rest, made.name))
end

function M.register(name, _, location)
  local catalog, rest = of_table(name)
  local made = catalog:register_table(rest, location)
  print(("registered %s from %s"):format(made.name, made.metadata_location))
end

function M.orphans(table_, given)
  local found, bytes = table_:orphans(), 0
  if given.json then return print(json.encode(json.array(found), true)) end
  for _, file in ipairs(found) do
    print(("%s  %s"):format(file.path, format.bytes(file.bytes)))
    bytes = bytes + file.bytes
  end
  if #found == 0 then return print "no file that the table does not know" end
  print(("%s files that no version of %s knows, %s; those of a writer at work are among them"):format(
    format.number(#found), table_.name, format.bytes(bytes)))
end

return M
