# httr2 and jsonlite.
library(httr2)
arguments <- commandArgs(TRUE)
api <- request(arguments[1]) |> req_url_path_append("api/v1/models")
told <- function(request, status = 200) {
  answer <- request |> req_error(is_error = \(answer) resp_status(answer) != status) |> req_perform()
  resp_body_json(answer)
}
job <- api |> req_url_path_append("download") |> req_body_json(list(model = arguments[2])) |> told()
first <- job$status
while (job$status == "downloading") {
  Sys.sleep(0.1)
  job <- api |> req_url_path_append("download", "status", job$job_id) |> told()
}
unknown <- request(paste0(arguments[1], "/api/v1/models/download/status/job_%C3%A9")) |> told(404)
cat(jsonlite::toJSON(list(
  first = first, last = job$status, whole = job$downloaded_bytes == job$total_size_bytes,
  keys = I(vapply(told(api)$models, \(model) model$key, "")), error = unknown$error$message
), auto_unbox = TRUE), "\n")
