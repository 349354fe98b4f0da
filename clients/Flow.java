// java.net.http and Jackson into records, as Spring has it: unknown fields are passed over, a missing number is an error.
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Instant;
import java.util.List;
import java.util.Map;

public class Flow {
    record Job(
            @JsonProperty("job_id") String id,
            @JsonProperty("status") String status,
            @JsonProperty("total_size_bytes") long total,
            @JsonProperty("downloaded_bytes") long done,
            @JsonProperty("completed_at") String completed) {}

    record Model(
            @JsonProperty("key") String key,
            @JsonProperty("size_bytes") long size,
            @JsonProperty("max_context_length") int context,
            @JsonProperty("loaded_instances") List<JsonNode> loaded) {}

    record Models(@JsonProperty("models") List<Model> models) {}

    static final ObjectMapper JSON = new ObjectMapper()
            .configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false)
            .configure(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES, true);
    static final HttpClient CLIENT = HttpClient.newHttpClient();

    static String send(HttpRequest.Builder request, int status) throws Exception {
        var answer = CLIENT.send(request.build(), BodyHandlers.ofString());
        if (answer.statusCode() != status) throw new IllegalStateException(answer.body());
        return answer.body();
    }

    public static void main(String[] args) throws Exception {
        var api = args[0] + "/api/v1/models";
        var body = BodyPublishers.ofString(JSON.writeValueAsString(Map.of("model", args[1])));
        var asked = HttpRequest.newBuilder(URI.create(api + "/download")).header("Content-Type", "application/json");
        var job = JSON.readValue(send(asked.POST(body), 200), Job.class);
        var first = job.status();
        while (job.status().equals("downloading")) {
            Thread.sleep(100);
            var url = URI.create(api + "/download/status/" + job.id());
            job = JSON.readValue(send(HttpRequest.newBuilder(url), 200), Job.class);
        }
        Instant.parse(job.completed());
        var keys = JSON.readValue(send(HttpRequest.newBuilder(URI.create(api)), 200), Models.class).models().stream()
                .map(Model::key)
                .toList();
        var unknown = HttpRequest.newBuilder(URI.create(api + "/download/status/job_%C3%A9"));
        var error = JSON.readTree(send(unknown, 404)).at("/error/message").asText();
        System.setOut(new java.io.PrintStream(System.out, true, "UTF-8"));
        System.out.println(JSON.writeValueAsString(Map.of(
                "first", first, "last", job.status(), "whole", job.done() == job.total(), "keys", keys, "error", error)));
    }
}
