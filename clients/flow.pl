# LWP and JSON.
use strict;
use warnings FATAL => 'all';
use JSON;
use LWP::UserAgent;

my ($address, $model) = @ARGV;
my $api = "$address/api/v1/models";
my $agent = LWP::UserAgent->new;

sub told {
    my ($answer, $status) = @_;
    die $answer->as_string if $answer->code != $status;
    return decode_json($answer->content);
}

my $body = encode_json({ model => $model });
my $job = told($agent->post("$api/download", 'Content-Type' => 'application/json', Content => $body), 200);
my $first = $job->{status};
while ($job->{status} eq 'downloading') {
    select undef, undef, undef, 0.1;
    $job = told($agent->get("$api/download/status/$job->{job_id}"), 200);
}
print encode_json({
    first => $first,
    last  => $job->{status},
    whole => $job->{downloaded_bytes} == $job->{total_size_bytes} ? JSON::true : JSON::false,
    keys  => [map { $_->{key} } @{ told($agent->get($api), 200)->{models} }],
    error => told($agent->get("$api/download/status/job_%C3%A9"), 404)->{error}{message},
}), "\n";
