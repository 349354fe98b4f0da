-- LuaSocket and cjson.
local http, ltn12, socket, json = require "socket.http", require "ltn12", require "socket", require "cjson"
local api = arg[1] .. "/api/v1/models"

local function call(url, status, body)
  local pieces, text = {}, body and json.encode(body)
  local _, code = http.request {
    url = url,
    method = text and "POST" or "GET",
    source = text and ltn12.source.string(text),
    sink = ltn12.sink.table(pieces),
    headers = text and { ["Content-Type"] = "application/json", ["Content-Length"] = #text },
  }
  assert(code == status, table.concat(pieces))
  return json.decode(table.concat(pieces))
end

local job = call(api .. "/download", 200, { model = arg[2] })
local first = job.status
while job.status == "downloading" do
  socket.sleep(0.1)
  job = call(api .. "/download/status/" .. job.job_id, 200)
end
local keys = {}
for _, model in ipairs(call(api, 200).models) do keys[#keys + 1] = model.key end
print(json.encode {
  first = first, last = job.status, whole = job.downloaded_bytes == job.total_size_bytes, keys = keys,
  error = call(api .. "/download/status/job_%C3%A9", 404).error.message,
})
