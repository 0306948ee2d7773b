---@meta mle.listener

--- HTTP requests for the one thread that has a Lua state; see engine/http/inbox.h.

---@class mle.Listener
local Listener = {}

---@class mle.Request
local Request = {}

local M = {}

---@param listen string "127.0.0.1:8701"; port 0 takes a free one
---@return mle.Listener
function M.open(listen) end

---@return string host, integer port
function Listener:address() end

---Waits until a request comes, or a signal that asks to stop.
---@param ms integer
function Listener:wait(ms) end

---@return mle.Request?
function Listener:take() end

---Sends bytes to all that follow.
---@param bytes string
function Listener:publish(bytes) end

---@return integer
function Listener:followers() end

---@return string method, string path
function Request:line() end

---@param name string
---@return string?
function Request:header(name) end

---@param name string
---@return string?
function Request:query(name) end

---@return string
function Request:body() end

---Sends the answer; a request has one.
---@param status integer
---@param kind "json"|"text"|"html"|"metrics"|"events"|"script"|"style"|"svg"|"png"|"bytes"
---@param body string
---@param headers? table<string, string>
function Request:answer(status, kind, body, headers) end

---Answers with `first`, and then with all that is published, as server-sent events. Raises when too many follow.
---@param listener mle.Listener
---@param first string
function Request:follow(listener, first) end

return M
