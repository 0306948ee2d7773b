--- How a run ended, as a mail.

local config = require "mlengine.config"
local errors = require "mlengine.error"
local secrets = require "mlengine.jobs.secrets"
local system = require "mle.system"

local M = {}

local SUBJECT_MAX <const>, WORD_MAX <const> = 200, 10 -- bytes; characters of an encoded word, which has at most 75 bytes

--- A header's text; what is not ASCII as RFC 2047 has it.
local function header(text)
  text = text:gsub("%c", " "):sub(1, SUBJECT_MAX)
  if not text:find "[\x80-\xFF]" then return text end
  local words, word, count = {}, "", 0
  for char in text:gmatch "[\0-\x7F\xC2-\xF4][\x80-\xBF]*" do
    word, count = word .. char:gsub("[^%w]", function(c) return ("=%02X"):format(c:byte()) end), count + 1
    if count == WORD_MAX then
      words[#words + 1], word, count = word, "", 0
    end
  end
  if word ~= "" then words[#words + 1] = word end
  for i, one in ipairs(words) do words[i] = ("=?UTF-8?Q?%s?="):format(one) end
  return table.concat(words, "\r\n ")
end

local function body(event)
  local lines = { event.text, "" }
  for _, name in ipairs { "event", "pipeline", "job", "run", "state", "reason", "created", "ended" } do
    if event[name] then lines[#lines + 1] = ("%-9s %s"):format(name, tostring(event[name]):gsub("%c", " ")) end
  end
  return table.concat(lines, "\r\n") .. "\r\n"
end

local function message(from, to, event)
  return table.concat({
    "From: " .. from, "To: " .. table.concat(to, ", "), "Subject: " .. header(event.text),
    "Date: " .. os.date "!%a, %d %b %Y %H:%M:%S +0000", ("Message-ID: <%s@mlengine>"):format(system.uuid()),
    "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "", body(event),
  }, "\r\n")
end

---@param to string[]
---@param event table
function M.send(to, event)
  local mail = config.mail()
  if not mail.url or not mail.from then
    errors.raise("invalid", "mail needs a server and a sender: mail = { url = \"smtps://mail.example.org\", from = \"ml@example.org\" } in mlengine.conf.lua")
  end
  require("mle.http").mail {
    url = mail.url, from = mail.from, to = to, text = message(mail.from, to, event), user = mail.user, ca_file = mail.ca_file,
    password = mail.password and secrets.value(mail.password, "mail.password"),
  }
end

return M
