--- What a run's processes used of the machine, and what is said of it.

local json = require "mlengine.json"

local M = {}

---@class mlengine.jobs.Usage
---@field peak_memory integer  bytes, of all its processes together
---@field cpu_ms integer
---@field bytes_read integer   from files and pipes
---@field memory_max? integer  what it was held to

local units <const> = { { 1 << 30, "GiB" }, { 1 << 20, "MiB" }, { 1 << 10, "KiB" } }

---"4 GiB", "25.6 MiB", "12 B".
---@param bytes integer
---@return string
function M.size(bytes)
  for _, unit in ipairs(units) do
    if bytes >= unit[1] then return (("%.1f"):format(bytes / unit[1]):gsub("%.0$", "")) .. " " .. unit[2] end
  end
  return ("%d B"):format(bytes)
end

---What is recorded of it.
---@param used table of mle.Process:used
---@param memory_max? integer
---@return string
function M.record(used, memory_max)
  return json.encode {
    peak_memory = used.peak_memory, cpu_ms = used.cpu_us // 1000, bytes_read = used.bytes_read, memory_max = memory_max,
  }
end

---Why a run ended that wanted more than its profile has.
---@param used table
---@param memory_max integer
---@return string
function M.out_of_memory(used, memory_max)
  return ("out of memory: limit %s, peak %s; give it more by memory in its resources"):format(
    M.size(memory_max), M.size(math.max(used.peak_memory, memory_max)))
end

---For the history: "peak memory 412 MiB, CPU 3.2 s, 14 MiB read".
---@param usage mlengine.jobs.Usage
---@return string
function M.text(usage)
  local limit = usage.memory_max and usage.memory_max ~= json.null and (" of %s"):format(M.size(usage.memory_max)) or ""
  return ("peak memory %s%s, CPU %.1f s, %s read"):format(
    M.size(usage.peak_memory), limit, usage.cpu_ms / 1000, M.size(usage.bytes_read))
end

return M
