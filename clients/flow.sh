# curl and jq; wget for one of the calls. Arguments: address, model.
set -eu
api="$1/api/v1/models"
json='Content-Type: application/json'
first=$(curl -sf "$api/download" -H "$json" -d "{\"model\": \"$2\"}")
id=$(echo "$first" | jq -er .job_id)
while job=$(curl -sf "$api/download/status/$id") && [ "$(echo "$job" | jq -er .status)" = downloading ]; do sleep 0.1; done
keys=$(wget -qO- "$api" | jq -ce '[.models[].key]')
error=$(curl -s "$api/download/status/job_%C3%A9" | jq -ce .error.message)
echo "$job" | jq -c --argjson first "$first" --argjson keys "$keys" --argjson error "$error" '{
  first: $first.status, last: .status, whole: (.downloaded_bytes == .total_size_bytes), keys: $keys, error: $error
}'
