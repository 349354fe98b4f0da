# Net::HTTP and JSON.
require "json"
require "net/http"
require "time"

address, model = ARGV
api = "#{address}/api/v1/models"
read = ->(answer) { JSON.parse(answer.tap(&:value).body) } # value raises for what is no 2xx
get = ->(url) { read.(Net::HTTP.get_response(URI(url))) }

job = read.(Net::HTTP.post(URI("#{api}/download"), { model: model }.to_json, "Content-Type" => "application/json"))
first = job.fetch("status")
while job.fetch("status") == "downloading"
  sleep 0.1
  job = get.("#{api}/download/status/#{job.fetch("job_id")}")
end
Time.iso8601(job.fetch("completed_at"))
unknown = Net::HTTP.get_response(URI("#{api}/download/status/job_%C3%A9"))
raise unknown.code unless unknown.is_a?(Net::HTTPNotFound)

puts JSON.generate(
  first: first, last: job.fetch("status"), whole: job.fetch("downloaded_bytes") == job.fetch("total_size_bytes"),
  keys: get.(api).fetch("models").map { |row| row.fetch("key") },
  error: JSON.parse(unknown.body).fetch("error").fetch("message")
)
