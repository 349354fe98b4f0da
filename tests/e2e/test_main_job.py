"""The main job from outside: a name becomes a whole, verified model, over LM Studio's API."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from e2e.conftest import MIB
from e2e.outside import Home, Server, sha256
from standin import ALWAYS, Hub, faults

JOB_ID = re.compile(r"job_[0-9a-f]{10}")
STATUSES = {"downloading", "paused", "completed", "failed", "already_downloaded"}


def is_time(text: str) -> bool:
    return re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text) is not None and bool(
        datetime.fromisoformat(text)
    )


def test_a_catalog_name_becomes_a_model_on_disk(acme: Hub, home: Home, server: Server) -> None:
    """The seed's request: the answer comes at once, the bytes follow, and what stands there is what the hub has."""
    started = server.download("acme/rope-8b")
    done = server.finished(started["job_id"])
    assert done["status"] == "completed"
    assert done["phase"] == "done"
    assert done["downloaded_bytes"] == done["total_size_bytes"] == started["total_size_bytes"]
    path = home.models / "acme" / "Rope-8B-GGUF" / "rope-8b-Q4_K_M.gguf"
    assert sha256(path) == acme.repositories["acme/rope-8b-gguf"].file("rope-8b-Q4_K_M.gguf").sha256
    assert home.visible() == {"acme/Rope-8B-GGUF/rope-8b-Q4_K_M.gguf"}
    assert {file.name for file in (home.catalog / "acme" / "rope-8b").iterdir()} == {"model.yaml", "manifest.json"}


def test_the_answer_has_the_seeds_fields(server: Server) -> None:
    """Field for field and type for type as in the seed, while it runs and when it is done."""
    for job in (server.download("acme/rope-8b"), server.finished(server.download("acme/rope-8b")["job_id"])):
        assert JOB_ID.fullmatch(job["job_id"])
        assert job["status"] in STATUSES
        assert isinstance(job["total_size_bytes"], int)
        assert isinstance(job["downloaded_bytes"], int)
        assert is_time(job["started_at"])
        assert "error" not in job
        yaml, model = job["items"]
        assert (yaml["type"], yaml["id"]) == ("model_yaml", "acme/rope-8b/model.yaml")
        assert {key: model[key] for key in ("type", "publisher", "id", "format", "quantization")} == {
            "type": "model",
            "publisher": "acme",
            "id": "acme/rope-8b",
            "format": "gguf",
            "quantization": {"name": "Q4_K_M"},
        }
        assert model["url"].endswith("/models/acme/rope-8b")
        assert isinstance(model["display_name"], str)
        assert job["total_size_bytes"] == yaml["size_bytes"] + model["size_bytes"]
        assert None not in job.values()
    assert is_time(job["completed_at"])


def test_speed_and_estimate_are_told_while_bytes_come(acme: Hub, server: Server) -> None:
    """`bytes_per_second` and `estimated_completion` appear with the first speed and are gone at the end."""
    acme.rate = 500_000
    job = server.download("acme/rope-8b", "Q8_0")
    moving = server.until(job["job_id"], lambda job: "bytes_per_second" in job)
    assert moving["status"] == "downloading"
    assert moving["phase"] == "transferring"
    assert moving["bytes_per_second"] > 0
    assert is_time(moving["estimated_completion"])
    acme.rate = None
    done = server.finished(job["job_id"])
    assert "bytes_per_second" not in done
    assert "estimated_completion" not in done


@pytest.mark.parametrize(
    ("model", "quantization", "files"),
    [
        ("acme/rope-8b@q8_0", None, {"acme/Rope-8B-GGUF/rope-8b-Q8_0.gguf"}),
        ("acme/rope-8b", "q8_0", {"acme/Rope-8B-GGUF/rope-8b-Q8_0.gguf"}),
        ("Acme/Rope-8B", "Q8_0", {"acme/Rope-8B-GGUF/rope-8b-Q8_0.gguf"}),
        ("https://lmstudio.ai/models/acme/rope-8b", None, {"acme/Rope-8B-GGUF/rope-8b-Q4_K_M.gguf"}),
        ("https://www.lmstudio.ai/acme/rope-8b", None, {"acme/Rope-8B-GGUF/rope-8b-Q4_K_M.gguf"}),
        ("https://huggingface.co/acme/Rope-8B-GGUF", "Q8_0", {"acme/Rope-8B-GGUF/rope-8b-Q8_0.gguf"}),
        ("https://hf.co/acme/Rope-8B-GGUF@Q8_0", None, {"acme/Rope-8B-GGUF/rope-8b-Q8_0.gguf"}),
        ("https://huggingface.co/acme/Rope-8B-GGUF/tree/main", None, {"acme/Rope-8B-GGUF/rope-8b-Q4_K_M.gguf"}),
        (
            "https://huggingface.co/acme/Rope-8B-GGUF/blob/main/rope-8b-Q8_0.gguf",
            None,
            {"acme/Rope-8B-GGUF/rope-8b-Q8_0.gguf"},
        ),
        ("{hub}/acme/Rope-8B-GGUF/resolve/main/rope-8b-Q8_0.gguf", None, {"acme/Rope-8B-GGUF/rope-8b-Q8_0.gguf"}),
        ("acme/Rope-8B-GGUF", "Q8_0", {"acme/Rope-8B-GGUF/rope-8b-Q8_0.gguf"}),
        ("acme/Big-GGUF", None, {f"acme/Big-GGUF/Big-Q4_K_M-0000{n}-of-00003.gguf" for n in (1, 2, 3)}),
        ("acme/Eye-GGUF", None, {"acme/Eye-GGUF/Eye-Q4_K_M.gguf", "acme/Eye-GGUF/mmproj-Eye-F16.gguf"}),
        (
            "https://huggingface.co/acme/Rope-8B-MLX-4bit",
            None,
            {f"acme/Rope-8B-MLX-4bit/{name}" for name in ("config.json", "tokenizer.json", "model.safetensors")},
        ),
    ],
)
def test_every_form_of_name_brings_the_right_files(
    model: str, quantization: str | None, files: set[str], acme: Hub, home: Home, server: Server
) -> None:
    """Each form of the contract's names, through to the files on disk."""
    job = server.finished(server.download(model.format(hub=acme.url), quantization)["job_id"])
    assert job["status"] == "completed", job
    assert home.visible() == files


def test_the_same_request_is_the_same_job(acme: Hub, server: Server) -> None:
    """Twenty at once, and in either spelling, while the first still runs: one job."""
    gate = threading.Event()
    acme.misbehave("cdn", faults.hold(gate), times=ALWAYS)
    wishes = [("acme/rope-8b", "Q4_K_M"), ("acme/rope-8b@q4_k_m", None), ("acme/rope-8b", None)] * 7
    with ThreadPoolExecutor(20) as pool:
        ids = {job["job_id"] for job in pool.map(lambda wish: server.download(*wish), wishes)}
    assert len(ids) == 1
    gate.set()
    assert server.finished(ids.pop())["status"] == "completed"


def test_what_is_here_is_already_downloaded(server: Server) -> None:
    """After the job is done, the same request says so, with the id of a job that is `completed`."""
    first = server.finished(server.download("acme/rope-8b")["job_id"])
    again = server.download("acme/rope-8b")
    assert again["status"] == "already_downloaded"
    assert again["downloaded_bytes"] == again["total_size_bytes"] == first["total_size_bytes"]
    assert again["items"] == first["items"]
    assert server.status(again["job_id"])["status"] == "completed"


def test_files_that_came_by_another_way_count(acme: Hub, home: Home, server: Server) -> None:
    """A person copied the file there: it is hashed, found right, and nothing is fetched."""
    content = acme.repositories["acme/rope-8b-gguf"].file("rope-8b-Q8_0.gguf").content
    place = home.models / "acme" / "Rope-8B-GGUF"
    place.mkdir(parents=True)
    (place / "rope-8b-Q8_0.gguf").write_bytes(content.read(0, content.size))
    job = server.download("acme/rope-8b", "Q8_0")
    assert job["status"] == "already_downloaded"
    assert server.status(job["job_id"])["status"] == "completed"
    assert acme.sent("rope-8b-Q8_0.gguf") == 0


def test_a_file_that_is_not_what_it_should_be_is_fetched(acme: Hub, home: Home, server: Server) -> None:
    """Of the right size and the wrong bytes: found out by its hash, and replaced."""
    place = home.models / "acme" / "Rope-8B-GGUF"
    place.mkdir(parents=True)
    (place / "rope-8b-Q8_0.gguf").write_bytes(bytes(3 * MIB))
    job = server.download("acme/rope-8b", "Q8_0")
    assert job["status"] == "downloading"
    assert server.finished(job["job_id"])["status"] == "completed"
    assert (
        sha256(place / "rope-8b-Q8_0.gguf") == acme.repositories["acme/rope-8b-gguf"].file("rope-8b-Q8_0.gguf").sha256
    )


def test_deleted_files_make_a_new_job(home: Home, server: Server) -> None:
    """What was downloaded and is gone again is fetched again, by a job with a new id."""
    first = server.finished(server.download("acme/rope-8b")["job_id"])
    (home.models / "acme" / "Rope-8B-GGUF" / "rope-8b-Q4_K_M.gguf").unlink()
    second = server.download("acme/rope-8b")
    assert second["status"] == "downloading"
    assert second["job_id"] != first["job_id"]
    assert server.finished(second["job_id"])["status"] == "completed"


def test_nothing_partial_is_ever_seen(acme: Hub, home: Home, server: Server) -> None:
    """Not one shard under its final name while another is missing; then all three."""
    gate = threading.Event()
    acme.misbehave("cdn", faults.hold(gate, after=MIB), path="Big-Q4_K_M-00003-of-00003.gguf", times=ALWAYS)
    job = server.download("acme/Big-GGUF")
    server.until(job["job_id"], lambda job: job["downloaded_bytes"] >= 4 * MIB)
    assert home.visible() == set()
    assert server.ask("GET", "/api/v1/models").json == {"models": []}
    gate.set()
    server.finished(job["job_id"])
    assert len(home.visible()) == 3


def test_all_jobs_are_listed_by_status(acme: Hub, server: Server) -> None:
    """Four lists, each newest first."""
    first = server.finished(server.download("acme/rope-8b")["job_id"])
    second = server.finished(server.download("acme/Eye-GGUF")["job_id"])
    acme.misbehave("resolve", faults.status(404), times=ALWAYS)
    failed = server.finished(server.download("acme/Big-GGUF")["job_id"])
    lists = server.ask("GET", "/api/v1/models/download/status").json
    assert list(lists) == ["downloading", "paused", "completed", "failed"]
    assert [job["job_id"] for job in lists["completed"]] == [second["job_id"], first["job_id"]]
    assert [job["job_id"] for job in lists["failed"]] == [failed["job_id"]]
    assert failed["error_code"] == "model_not_found"
    assert failed["error_message"]


def test_a_failed_job_goes_on_under_its_id(acme: Hub, server: Server) -> None:
    """The hub turned us away once; the same request later goes on with the same job."""
    acme.misbehave("resolve", faults.status(403), times=ALWAYS)
    failed = server.finished(server.download("acme/rope-8b")["job_id"])
    assert (failed["status"], failed["error_code"]) == ("failed", "model_gated")
    acme.behave()
    again = server.download("acme/rope-8b")
    assert again["job_id"] == failed["job_id"]
    assert again["status"] == "downloading"
    done = server.finished(again["job_id"])
    assert done["status"] == "completed"
    assert "error_code" not in done


def test_a_cancelled_job_is_over(acme: Hub, home: Home, server: Server) -> None:
    """Cancelled is `failed` with code `cancelled`, leaves no partial behind, and the next request is a new job."""
    acme.misbehave("cdn", faults.stall(after=MIB), times=ALWAYS)
    job = server.download("acme/rope-8b")
    server.until(job["job_id"], lambda job: job["downloaded_bytes"] >= MIB)
    cancelled = server.ask("POST", f"/api/windlass/v1/jobs/{job['job_id']}/cancel").json
    assert (cancelled["status"], cancelled["error_code"]) == ("failed", "cancelled")
    assert list((home.models / ".windlass" / "partial").iterdir()) == []
    acme.behave()
    assert server.download("acme/rope-8b")["job_id"] != job["job_id"]


def test_paused_and_resumed(acme: Hub, server: Server) -> None:
    """Pause keeps what has come; the next request for the model goes on with it under the same id."""
    acme.misbehave("cdn", faults.stall(after=MIB), times=ALWAYS)
    job = server.download("acme/rope-8b")
    server.until(job["job_id"], lambda job: job["downloaded_bytes"] >= MIB)
    paused = server.ask("POST", f"/api/windlass/v1/jobs/{job['job_id']}/pause").json
    assert paused["status"] == "paused"
    assert paused["downloaded_bytes"] >= MIB
    acme.behave()
    again = server.download("acme/rope-8b")
    assert again["job_id"] == job["job_id"]
    assert server.finished(job["job_id"])["status"] == "completed"
    assert acme.sent("rope-8b-Q4_K_M.gguf") <= 3 * MIB + MIB // 4


def test_the_lists_show_the_model(server: Server) -> None:
    """`/api/v1/models`, v0 and OpenAI's, and one model by its id, plain and percent-encoded."""
    server.finished(server.download("acme/rope-8b")["job_id"])
    (row,) = server.ask("GET", "/api/v1/models").json["models"]
    assert row["key"] == "acme/rope-8b"
    assert row["loaded_instances"] == []
    assert row["capabilities"] == {"vision": False, "trained_for_tool_use": True}
    assert row["quantization"] == {"name": "Q4_K_M", "bits_per_weight": 4}
    assert (row["params_string"], row["max_context_length"], row["size_bytes"]) == ("8B", 8192, 3 * MIB)
    for base in ("/api/v0/models", "/v1/models"):
        (listed,) = server.ask("GET", base).json["data"]
        assert listed["id"] == row["key"]
        for spelling in ("acme/rope-8b", "acme%2Frope-8b", "acme/rope-8b%40q4_k_m", "Acme/Rope-8B@Q4_K_M"):
            assert server.ask("GET", f"{base}/{spelling}").json == listed
    assert server.ask("GET", "/v1/models/nobody/nothing").error["code"] == "model_not_found"


def test_greeting_health_and_description(server: Server) -> None:
    """What a client asks first."""
    assert server.ask("GET", "/lmstudio-greeting").json == {"lmstudio": True}
    health = server.ask("GET", "/api/windlass/v1/health").json
    assert health["status"] == "ok"
    assert "/api/v1/models/download" in server.ask("GET", "/openapi.json").json["paths"]
    assert b"/api/v1/models/download" in server.ask("GET", "/docs").body
