<?php
// cURL and typed readonly properties: a value of another type, or a field that is missing, ends it.
declare(strict_types=1);
set_error_handler(fn (int $kind, string $message) => throw new ErrorException($message));

final class Job
{
    public function __construct(
        public readonly string $id,
        public readonly string $status,
        public readonly int $total,
        public readonly int $done,
        public readonly array $items,
    ) {
    }

    public static function of(array $body): self
    {
        return new self(
            $body['job_id'], $body['status'], $body['total_size_bytes'], $body['downloaded_bytes'], $body['items']
        );
    }
}

function call(string $url, int $status, ?array $body = null): array
{
    $handle = curl_init($url);
    curl_setopt_array($handle, [CURLOPT_RETURNTRANSFER => true, CURLOPT_HTTPHEADER => ['Content-Type: application/json']]);
    if ($body !== null) {
        curl_setopt($handle, CURLOPT_POSTFIELDS, json_encode($body));
    }
    $answer = json_decode(curl_exec($handle), true, 512, JSON_THROW_ON_ERROR);
    if (curl_getinfo($handle, CURLINFO_RESPONSE_CODE) !== $status) {
        throw new RuntimeException(json_encode($answer));
    }
    return $answer;
}

[, $address, $model] = $argv;
$api = "$address/api/v1/models";
$job = Job::of(call("$api/download", 200, ['model' => $model]));
$first = $job->status;
while ($job->status === 'downloading') {
    usleep(100_000);
    $job = Job::of(call("$api/download/status/{$job->id}", 200));
}
echo json_encode([
    'first' => $first,
    'last' => $job->status,
    'whole' => $job->done === $job->total,
    'keys' => array_column(call($api, 200)['models'], 'key'),
    'error' => call("$api/download/status/job_%C3%A9", 404)['error']['message'],
]), "\n";
