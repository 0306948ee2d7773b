---@meta mle.serve

---This project's model server.
local M = {}

---Serves until it is told to stop.
---@param options { state: string, listen: string, version: string, workers?: integer, tls_cert?: string, tls_key?: string, ready_fd?: integer, log_share?: number, openapi?: string, follow?: fun(call: fun(json: string): string), follow_seconds?: number }
function M.run(options) end

---Starts the server in the background; returns its URL once it serves.
---@param options { root: string, state: string, listen: string }
---@return string url
function M.start(options) end

---Whether a server holds the project's lock, be it still starting.
---@param state string
---@return boolean
function M.is_running(state) end

---Sends a line of JSON to the running server; returns its answer.
---@param state string
---@param json string
---@param seconds? number 30
---@return string json
function M.call(state, json, seconds) end

---Raises unless a text can be an endpoint's name.
---@param name string
function M.check_endpoint(name) end

---Checks the model in a folder in this process.
---@param folder string
---@return string json
function M.check(folder) end

---Checks it by `mlengine serve --check`, in a child.
---@param folder string
---@return string json
function M.check_in_child(folder) end

return M
