---@meta mle.http

local M = {}

---An HTTP client; it keeps its connections. One request at a time.
---@class mle.http.Client
local Client = {}

---Sends a request, again when it fails in passing and may be repeated.
---@param request { method?: string, url: string, headers?: table<string, string>, body?: string, unix_socket?: string, ca_file?: string, insecure?: boolean, proxy?: string, timeout?: number, connect_timeout?: number, retries?: integer, response_max?: integer, idempotent?: boolean }
---@return { status: integer, body: string, headers: table<string, string> }
function Client:request(request) end

---Closes its connections.
function Client:close() end

---@return mle.http.Client
function M.client() end

---Hands one message to an SMTP server; with a password only over an encrypted connection.
---@param mail { url: string, user?: string, password?: string, ca_file?: string, from: string, to: string[], text: string }
function M.mail(mail) end

return M
