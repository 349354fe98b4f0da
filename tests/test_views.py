"""Jobs as they look from outside: the seed's response field for field, and nothing that has no value."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample import entry, file_of, manifest_of
from windlass import words
from windlass.jobs.job import Job
from windlass.jobs.states import Phase, State
from windlass.pull import Progress
from windlass.transfer.meter import Meter, Underway
from windlass.views import JobView, items, job_body, job_detail

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
CREATED = 1759505603.496
MODEL = manifest_of(
    file_of(b"w" * 4000, "model.safetensors"),
    file_of(b"{}" * 50, "config.json", role="data"),
    id="qwen/qwen3-4b-2507",
    publisher="qwen",
    display_name="Qwen3 4B Instruct 2507",
    url="https://lmstudio.ai/models/qwen/qwen3-4b-2507",
    format="mlx",
    quantization="4bit",
    catalog=replace(entry(), name="qwen3-4b-2507"),
)
WEIGHTS, TEXTS = 4100, MODEL.total_size - 4100

JOB = Job(
    id="job_493c7c9ded",
    number=1,
    state=State.RUNNING,
    phase=Phase.TRANSFERRING,
    manifest=MODEL,
    downloaded=100,
    priority=0,
    limit_rate=None,
    owner="1-cafe",
    error_code=None,
    error_message=None,
    created_at=CREATED,
    started_at=CREATED + 5,
    completed_at=None,
)


def progress(kept: int = 1000, phase: Phase = Phase.TRANSFERRING) -> Progress:
    first, second = (file.shelf_path for file in MODEL.files)
    return Progress(TEXTS, {first: Meter(4000, kept=kept, fetched=kept), second: Meter(100)}, phase)


def test_a_job_that_transfers_is_as_in_the_seed() -> None:
    """Field for field, with the contract's `phase` beside them."""
    body = job_body(JobView(JOB, progress(), 500.0, CREATED + 10, live=True))
    assert body == {
        "job_id": "job_493c7c9ded",
        "status": "downloading",
        "total_size_bytes": WEIGHTS + TEXTS,
        "downloaded_bytes": 1000 + TEXTS,
        "items": [
            {"type": "model_yaml", "size_bytes": TEXTS, "id": "qwen/qwen3-4b-2507/model.yaml"},
            {
                "type": "model",
                "publisher": "qwen",
                "id": "qwen/qwen3-4b-2507",
                "display_name": "Qwen3 4B Instruct 2507",
                "url": "https://lmstudio.ai/models/qwen/qwen3-4b-2507",
                "size_bytes": WEIGHTS,
                "quantization": {"name": "4BIT"},
                "format": "mlx",
            },
        ],
        "bytes_per_second": 500,
        "estimated_completion": words.timestamp(CREATED + 10 + 3100 / 500),
        "started_at": "2025-10-03T15:33:23.496Z",
        "phase": "transferring",
    }


def test_numbers_and_times_have_the_types_that_clients_want() -> None:
    """Byte counts and the speed are integers, times in UTC with milliseconds; all of it is JSON."""
    view = JobView(replace(JOB, state=State.COMPLETED, completed_at=CREATED + 9), at=CREATED)
    for body in (job_body(view), job_body(JobView(JOB, progress(), 0.3, CREATED, live=True))):
        assert body == json.loads(json.dumps(body))
        for name in ("total_size_bytes", "downloaded_bytes"):
            assert type(body[name]) is int
        assert type(body.get("bytes_per_second", 1)) is int
        for name in ("started_at", "completed_at", "estimated_completion"):
            assert name not in body or TIME.fullmatch(body[name])


@pytest.mark.parametrize("bits", ["4bit", "Q4_K_M", "q8_0"])
def test_items_name_the_quantization_as_the_seed_does(bits: str) -> None:
    """In capitals; a model without one has no such field, and one without a catalog entry no model.yaml."""
    [model] = items(manifest_of(quantization=bits))
    assert model["quantization"] == {"name": bits.upper()}
    [model] = items(manifest_of(quantization=None))
    assert "quantization" not in model
    assert None not in model.values()


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("catalog", [None, entry()])
def test_a_field_without_a_value_is_absent(state: State, catalog: Any) -> None:
    """Never null, at any depth, in any state; and no success has an `error`."""
    done = CREATED + 9 if state is State.COMPLETED else None
    failed = "hub_error" if state is State.FAILED else None
    manifest = manifest_of(catalog=catalog, quantization=None)
    job = replace(JOB, state=state, manifest=manifest, completed_at=done, error_code=failed, started_at=None)
    for body in (job_body(JobView(job)), job_detail(JobView(job, path=Path("/models/m")))):
        assert "null" not in json.dumps(body)
        assert "error" not in body


WORDS = [
    (State.QUEUED, "downloading", set()),
    (State.RUNNING, "downloading", {"bytes_per_second", "estimated_completion"}),
    (State.PAUSED, "paused", set()),
    (State.COMPLETED, "completed", {"completed_at"}),
    (State.FAILED, "failed", {"error_code", "error_message"}),
    (State.CANCELLED, "failed", {"error_code", "error_message"}),
]
ALWAYS = {"job_id", "status", "total_size_bytes", "downloaded_bytes", "items", "phase", "started_at"}


@pytest.mark.parametrize(("state", "status", "optional"), WORDS)
def test_each_state_has_its_word_and_its_fields(state: State, status: str, optional: set[str]) -> None:
    """Those that the docs allow for it, and no others: a speed while it downloads, an end when it has ended."""
    error = "checksum_mismatch" if state is State.FAILED else None
    at = CREATED + 9 if state is State.COMPLETED else None
    job = replace(JOB, state=state, phase=Phase.QUEUED, error_code=error, error_message=error, completed_at=at)
    running = progress() if state is State.RUNNING else None
    body = job_body(JobView(job, running, 500.0, CREATED))
    assert body["status"] == status
    assert body.keys() == ALWAYS | optional
    assert body.get("error_code") == {State.FAILED: error, State.CANCELLED: "cancelled"}.get(state)


def test_the_word_can_be_already_downloaded() -> None:
    """All required fields, and all bytes."""
    body = job_body(JobView(replace(JOB, state=State.COMPLETED, completed_at=CREATED)), "already_downloaded")
    assert body["status"] == "already_downloaded"
    assert body["downloaded_bytes"] == body["total_size_bytes"]
    assert body.keys() >= ALWAYS


@pytest.mark.parametrize(
    ("speed", "phase"), [(0.0, Phase.TRANSFERRING), (500.0, Phase.VERIFYING), (500.0, Phase.RESOLVING)]
)
def test_a_speed_is_only_told_where_bytes_come(speed: float, phase: Phase) -> None:
    """A speed of nothing would make the time left infinite."""
    body = job_body(JobView(JOB, progress(phase=phase), speed, CREATED))
    assert "bytes_per_second" not in body
    assert "estimated_completion" not in body
    assert body["phase"] == phase


def test_a_time_left_of_ages_is_still_a_date() -> None:
    """One byte an hour: the year is bounded, as the calendar is."""
    body = job_body(JobView(JOB, progress(), 1e-9, CREATED))
    assert TIME.fullmatch(body["estimated_completion"])


def test_an_error_has_words_even_where_none_were_kept() -> None:
    """Clients show `error_message`."""
    job = replace(JOB, state=State.FAILED, error_code="hub_error")
    assert job_body(JobView(job))["error_message"] == "hub_error"


@given(
    st.lists(st.tuples(st.sampled_from(State), st.integers(0, 4000)), max_size=8),
    st.lists(st.integers(0, 4000), max_size=8),
)
def test_what_is_shown_never_goes_down_while_a_pull_ends(notes: list[tuple[State, int]], kept: list[int]) -> None:
    """The pull counts up, the store is told a moment later, and the state moves in between: no reader sees less."""
    last = 0
    states = [state for state, _ in notes if state is not State.COMPLETED] or [State.RUNNING]
    now, noted = progress(0), 0
    for step, count in enumerate(sorted(kept)):
        next(iter(now.files.values())).kept = count
        state = states[step % len(states)]
        shown = JobView(replace(JOB, state=state, downloaded=noted), now, live=True).downloaded
        assert shown >= last
        assert shown == now.downloaded or state is not State.RUNNING
        last, noted = shown, now.downloaded if step % 2 else noted
    assert JobView(replace(JOB, state=State.COMPLETED, downloaded=0), now).downloaded == MODEL.total_size


def test_what_another_process_brought_since_counts() -> None:
    """A pull that ended here long ago knows less than the store: its counters do not make a job go back."""
    for state in (State.PAUSED, State.QUEUED, State.FAILED):
        assert JobView(replace(JOB, state=state, downloaded=3000 + TEXTS), progress(1000)).downloaded == 3000 + TEXTS


def test_without_a_pull_the_store_is_believed() -> None:
    """A job that runs elsewhere, or not at all."""
    for state in set(State) - {State.COMPLETED}:
        view = JobView(replace(JOB, state=state))
        assert (view.downloaded, view.phase) == (100, Phase.TRANSFERRING)


def test_the_phase_of_a_stopped_job_is_the_stores() -> None:
    """What the ended pull was busy with last is of no interest."""
    job = replace(JOB, state=State.QUEUED, phase=Phase.QUEUED)
    assert JobView(job, progress()).phase is Phase.QUEUED


def test_details_show_each_file() -> None:
    """Where it goes, what it must hash to, and what its connections do right now."""
    now = progress()
    meter = next(iter(now.files.values()))
    meter.checked, meter.connections, meter.note = 900, 3, "the source sent no bytes"
    meter.segments = (Underway(2000, 3000, 250.0),)
    meter.causes["stalled"] = 2
    body = job_detail(JobView(replace(JOB, limit_rate=5000, priority=2), now, 500.0, CREATED, Path("/models/m")))
    assert body["model"] == "qwen/qwen3-4b-2507"
    assert (body["limit_rate"], body["priority"]) == (5000, 2)
    assert "path" not in body
    first, second = body["files"]
    file = MODEL.files[0]
    assert first == {
        "path": file.shelf_path,
        "size_bytes": 4000,
        "role": "weights",
        "digest": f"sha256:{file.digest.hex}",
        "commit": "c" * 40,
        "downloaded_bytes": 1000,
        "verified_bytes": 900,
        "fetched_bytes": 1000,
        "connections": 3,
        "segments": [{"position": 2000, "end": 3000, "bytes_per_second": 250.0}],
        "retries": 2,
        "note": "the source sent no bytes",
    }
    assert "note" not in second
    assert second["role"] == "data"


def test_details_of_a_completed_job_say_where_it_stands() -> None:
    """Its path, and every file whole, also when nobody here saw it come."""
    body = job_detail(JobView(replace(JOB, state=State.COMPLETED), path=Path("/models/m")))
    assert body["path"] == "/models/m"
    assert [file["downloaded_bytes"] for file in body["files"]] == [4000, 100]
    body = job_detail(JobView(replace(JOB, state=State.PAUSED), path=Path("/models/m")))
    assert "path" not in body
    assert "downloaded_bytes" not in body["files"][0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (CREATED, "2025-10-03T15:33:23.496Z"),
        (1759795200.0, "2025-10-07T00:00:00.000Z"),
    ],
)
def test_times_are_utc_with_milliseconds(seconds: float, text: str) -> None:
    """Also on the full second, where Python would leave the fraction out."""
    assert words.timestamp(seconds) == text
