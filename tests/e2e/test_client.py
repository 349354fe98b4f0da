"""The Python clients against a real server: a model from its name to the disk, errors as classes, events, limits."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import windlass
from e2e.conftest import MIB, gguf
from e2e.outside import Home, Server, sha256
from e2e.test_models import flip
from standin import ALWAYS, Hub, faults
from windlass.client.shapes import Job
from windlass.errors import (
    IllegalMove,
    InsufficientStorage,
    InvalidApiKey,
    JobNotFound,
    ModelGated,
    ModelNotFound,
    QuantizationNotFound,
    ServerFailure,
    ServerUnreachable,
)

REPO = "acme/Thing-GGUF"
NAME = "Thing-Q4_K_M.gguf"


@pytest.fixture
def link(acme: Hub) -> str:
    acme.add(REPO, {NAME: gguf(4 * MIB, 3)})
    return f"{acme.url}/{REPO}"


def test_a_model_is_brought_in_and_watched(server: Server, acme: Hub, home: Home, link: str) -> None:
    """`download` with `on_progress` returns when it is completed; told on the way, with bytes that only go up."""
    acme.rate = 1_500_000
    seen: list[Job] = []
    with windlass.Client(server.url + "/v1") as client:
        assert client.is_windlass()
        assert client.plan(link)["bytes_to_fetch"] == 4 * MIB
        job = client.download(link, on_progress=seen.append)
        assert (job["status"], job["downloaded_bytes"]) == ("completed", 4 * MIB)
        counts = [one["downloaded_bytes"] for one in seen]
        assert counts == sorted(counts)
        assert len(counts) > 2
        assert client.download(link, on_progress=seen.append)["status"] == "already_downloaded"
        [model] = client.models()
        assert client.model(model["key"])["path"] == str(home.models / REPO / NAME)
        assert client.verify(model["key"])["whole"]
        right = sha256(home.models / REPO / NAME)
        flip(home.models / REPO / NAME, MIB)
        mending = client.verify(model["key"], repair=True)
        assert client.wait(mending["job"]["job_id"])["status"] == "completed"
        assert sha256(home.models / REPO / NAME) == right
        assert client.delete(model["key"])["freed_bytes"] == 4 * MIB
        assert client.models() == []
        assert [found["id"] for found in client.search("thing")["models"]] == [REPO]


def test_jobs_are_driven(server: Server, acme: Hub, link: str) -> None:
    """Paused, put forward, limited, resumed, cancelled, forgotten."""
    acme.misbehave("cdn", faults.stall(after=MIB), times=ALWAYS)
    with windlass.Client(server.url) as client:
        job_id = client.download(link)["job_id"]
        assert client.act(job_id, "pause")["status"] == "paused"
        assert [job["job_id"] for job in client.jobs()["paused"]] == [job_id]
        changed = client.change(job_id, priority=7, limit_rate=1_000_000)
        assert (changed["priority"], changed["limit_rate"]) == (7, 1_000_000)
        assert "limit_rate" not in client.change(job_id, limit_rate=None)
        assert client.act(job_id, "resume")["status"] == "downloading"
        with pytest.raises(TimeoutError, match="goes on"):
            client.wait(job_id, timeout=0.5, interval=0.1)
        assert client.act(job_id, "cancel")["status"] == "failed"
        with pytest.raises(ServerFailure) as caught:
            client.wait(job_id)
        assert caught.value.remote_code == "cancelled"
        client.forget(job_id)
        assert client.set_limits(max_jobs=2)["max_jobs"] == client.limits()["max_jobs"] == 2


ERRORS: list[tuple[Callable[[windlass.Client], Any], type[Exception], str]] = [
    (lambda client: client.download("acme/nothing-here"), ModelNotFound, "model_not_found"),
    (lambda client: client.download("acme/rope-8b", "Q9_9"), QuantizationNotFound, "quantization_not_found"),
    (lambda client: client.job("job_0000000000"), JobNotFound, "job_not_found"),
    (lambda client: client.set_limits(max_jobs=0), windlass.errors.InvalidRequest, "invalid_request"),
]


@pytest.mark.parametrize(("call", "kind", "code"), ERRORS, ids=lambda value: value if isinstance(value, str) else "")
def test_errors_are_classes(
    server: Server, call: Callable[[windlass.Client], Any], kind: type[Exception], code: str
) -> None:
    """Of the class that the code belongs to, and a ServerFailure with its status besides."""
    with windlass.Client(server.url) as client:
        with pytest.raises(kind) as caught:
            call(client)
        assert isinstance(caught.value, ServerFailure)
        assert (caught.value.code, caught.value.remote_code) == (code, code)
        assert caught.value.status in {400, 404}


def test_more_errors(acme: Hub, home: Home, link: str) -> None:
    """With their numbers; no access; no token; nobody there; a job that ends badly."""
    home.more["WINDLASS_MIN_FREE"] = "900T"
    with Server(home) as server:
        with windlass.Client(server.url) as client:
            with pytest.raises(InsufficientStorage) as full:
                client.download(link)
            assert full.value.needed == 4 * MIB
            assert "larger disk" in (full.value.hint or "")
            assert "larger disk" not in full.value.message
            with pytest.raises(ModelGated):
                client.download(f"{acme.url}/acme/Gated-GGUF")
        token = home.run("token", "create").stdout.strip()
        with windlass.Client(server.url) as client, pytest.raises(InvalidApiKey):
            client.models()
        with windlass.Client(server.url, token) as client:
            assert client.models() == []
    with windlass.Client(server.url) as client, pytest.raises(ServerUnreachable, match="windlass serve"):
        client.models()


def test_events_as_an_iterator(server: Server, link: str) -> None:
    """Until the job is completed; another reader goes on from where this one stopped; an unknown job is an error."""
    with windlass.Client(server.url) as client:
        job_id = client.download(link)["job_id"]
        for event in client.events():
            assert (event.kind, event.data["job_id"]) == ("job", job_id)
            if event.data["status"] == "completed":
                break
        client.forget(job_id)
        assert next(iter(client.events(last_event_id=event.id))).kind == "removed"
        with pytest.raises(JobNotFound):
            next(iter(client.events(job_id)))


def test_the_same_with_asyncio(server: Server, acme: Hub, home: Home, link: str) -> None:
    """Every call, in one loop."""

    async def all_of_it() -> None:
        async with windlass.AsyncClient(server.url) as client:
            assert (await client.plan(link))["bytes_to_fetch"] == 4 * MIB
            seen: list[Job] = []
            job = await client.download(link, on_progress=seen.append)
            assert (job["status"], seen[-1]["status"]) == ("completed", "completed")
            assert (await client.download(link, anew=True))["status"] == "already_downloaded"
            job_id = job["job_id"]
            assert (await client.job(job_id))["path"] == str(home.models / REPO / NAME)
            assert [one["job_id"] for one in (await client.jobs())["completed"]] == [job_id]
            [model] = await client.models()
            assert (await client.model(model["key"]))["verified"]
            assert (await client.verify(model["key"]))["whole"]
            assert (
                (await client.set_limits(connections=3))["connections"] == (await client.limits())["connections"] == 3
            )
            assert (await client.search("thing"))["models"]
            await client.delete(model["key"])
            with pytest.raises(IllegalMove):
                await client.act(job_id, "pause")
            acme.misbehave("cdn", faults.stall(after=MIB), times=ALWAYS)
            again = (await client.download(link))["job_id"]
            async for event in client.events(again):
                assert event.data["job_id"] == again
                break
            assert (await client.change(again, priority=1))["priority"] == 1
            await client.act(again, "cancel")
            await client.forget(again)
            with pytest.raises(JobNotFound):
                await anext(client.events(again))
        async with windlass.AsyncClient("http://127.0.0.1:9") as nobody:
            with pytest.raises(ServerUnreachable):
                await nobody.models()
            with pytest.raises(ServerUnreachable):
                await anext(nobody.events())

    asyncio.run(all_of_it())
