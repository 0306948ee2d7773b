--- `mlengine key`: access keys of endpoints, and of administrators.

local usage <const> = "mlengine key add ENDPOINT|--admin [--label TEXT] | list [--json] | revoke ID | open ENDPOINT"

local options <const> = { ["--admin"] = "flag", ["--label"] = "TEXT", ["--json"] = "flag" }

local function wrong(text) require("mlengine.error").raise("usage", ("%s; usage: %s"):format(text, usage)) end

--- A server that runs asks for the keys once more.
local function tell_server()
  local serve = require "mlengine.serve"
  if serve.status() then serve.command "keys" end
end

local function add(records, endpoint, given)
  if (endpoint == nil) == not given.admin then wrong "key add takes an endpoint, or --admin" end
  if endpoint then require("mle.serve").check_endpoint(endpoint) end
  local key, id = records:add_key(endpoint, given.label)
  tell_server()
  if endpoint and records:slot(endpoint) == nil then
    io.stderr:write(("nothing is deployed at endpoint %s yet; mlengine deployments lists what is\n"):format(endpoint))
  end
  io.stderr:write(("key %d for %s; it is shown this once:\n"):format(id, endpoint and "endpoint " .. endpoint or "administration"))
  print(key)
end

local function list(records, _, given)
  local keys = records:keys()
  if given.json then
    local json = require "mlengine.json"
    return print(json.encode(json.array(keys)))
  end
  if #keys == 0 then return print "there are no access keys: whoever reaches the port may ask, and nobody may administer" end
  for _, key in ipairs(keys) do
    local at = require("mle.system").time_text(key.created_ms):gsub("T", " "):sub(1, 19)
    local revoked = key.sha256:find "^revoked" and "revoked  " or ""
    print(("%d  %s  %s  %s%s"):format(key.id, key.endpoint or "(admin)", at, revoked, key.label))
  end
end

local function revoke(records, id)
  local number = math.tointeger(tonumber(id))
  if not number then wrong "key revoke takes a number of key list" end
  records:revoke_key(number)
  tell_server()
  print "revoked"
end

local function open(records, endpoint)
  if not endpoint then wrong "key open takes an endpoint" end
  records:open_endpoint(endpoint)
  tell_server()
  print(("endpoint %s takes requests without a key"):format(endpoint))
end

local verbs <const> = { add = add, list = list, revoke = revoke, open = open }

return {
  summary = "make, list and revoke access keys",
  usage = usage,
  details = [==[
An endpoint with keys answers only requests with one of them: Authorization: Bearer KEY, or CML's
accessKey; also when all are revoked, until `key open` forgets them. An admin key opens the server's
administration over the network. Keys are stored as SHA-256, and shown once.]==],
  run = function(args)
    local given, names = require("mlengine.arguments").parse(args, options, usage, { 1, 2 })
    local verb = verbs[names[1]]
    if not verb then wrong(("there is no '%s' of keys"):format(names[1])) end
    local records <close> = require("mlengine.deploy.target").local_records()
    return verb(records, names[2], given)
  end,
}
