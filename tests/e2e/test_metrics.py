"""Numbers for a monitor, read from outside with Prometheus's own parser."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from e2e.outside import Home, Server
from standin import Hub, faults


def numbers(server: Server) -> dict[str, float]:
    answer = server.ask("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.body.decode())
    samples = [sample for family in families for sample in family.samples]
    return {"/".join([sample.name, *sample.labels.values()]): sample.value for sample in samples}


def test_what_has_been_done_is_counted(hub: Hub, tmp_path: Path) -> None:
    """Jobs by state, bytes that came and those that were wrong, tries that failed; the limit and the disk."""
    content = b"GGUF" + bytes(2_000_000)
    hub.add("acme/Thing-GGUF", {"Thing-Q4_K_M.gguf": content})
    hub.misbehave("cdn", faults.rst(after=1000))
    home = Home(tmp_path, hub.url)
    with Server(home) as server:
        before = numbers(server)
        assert before["windlass_jobs/completed"] == before["windlass_retries_total/stalled"] == 0
        assert before[f"windlass_disk_free_bytes/{home.models}"] > 0
        server.ask("PUT", "/api/windlass/v1/limits", {"limit_rate": 50_000_000})
        server.finished(server.download(f"{hub.url}/acme/Thing-GGUF")["job_id"])
        after = numbers(server)
    assert after["windlass_jobs/completed"] == 1
    assert after["windlass_fetched_bytes_total/127.0.0.1"] >= len(content)
    assert after["windlass_retries_total/broken"] >= 1
    assert after["windlass_checksum_failures_total"] == after["windlass_webhooks_total/told"] == 0
    assert after["windlass_wrong_bytes_total"] == after["windlass_connections"] == after["windlass_event_readers"] == 0
    assert after["windlass_limit_rate_bytes"] == 50_000_000
    assert after[f"windlass_disk_promised_bytes/{home.models}"] == 0
    assert after[f"windlass_models_folder_up/{home.models}"] == 1
