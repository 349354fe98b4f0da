"""Events from outside: a job followed to its end, resumed where it was left, by many readers and by slow ones."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from e2e.outside import Home, Server
from standin import ALWAYS, Hub, faults

REPO = "acme/Thing-GGUF"
SIZE = 3_000_000
Told = tuple[str, str, dict[str, Any]]


@pytest.fixture
def home(hub: Hub, tmp_path: Path) -> Home:
    hub.add(REPO, {"Thing-Q4_K_M.gguf": b"GGUF" + bytes(SIZE), "Thing-Q8_0.gguf": b"GGUF" + bytes(SIZE + 1)})
    return Home(tmp_path, hub.url)


def follow(stack: ExitStack, server: Server, path: str = "events", last: str = "") -> HTTPResponse:
    connection = stack.enter_context(closing(HTTPConnection(urlsplit(server.url).netloc, timeout=30)))
    headers = {"Last-Event-ID": last} if last else {}
    connection.request("GET", f"/api/windlass/v1/{path}", headers=headers)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    return answer


def told(answer: HTTPResponse) -> Iterator[Told]:
    """Each event: its id, its kind, its data."""
    fields: dict[str, str] = {}
    while line := answer.readline().decode():
        name, _, value = line.rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif "event" in fields:
            yield fields["id"], fields["event"], json.loads(fields["data"])
            fields = {}


def until(answer: HTTPResponse, status: str) -> list[Told]:
    seen = []
    for event in told(answer):
        seen.append(event)
        if event[2].get("status") == status:
            return seen
    raise AssertionError(f"it ended without {status}")


def test_a_job_is_followed_to_its_end_and_beyond(home: Home, hub: Hub) -> None:
    """Whole jobs, whose bytes never go down; who comes back with the last id hears of what has ended since."""
    with Server(home) as server, ExitStack() as stack:
        server.ask("PUT", "/api/windlass/v1/limits", {"limit_rate": 4_000_000})
        following = follow(stack, server)
        job_id = server.download(f"{hub.url}/{REPO}")["job_id"]
        seen = until(following, "completed")
        assert {data["job_id"] for _, _, data in seen} == {job_id}
        counts = [data["downloaded_bytes"] for _, _, data in seen]
        assert counts == sorted(counts)
        assert counts[-1] == SIZE + 4
        assert seen[-1][2]["model"] == REPO
        first = seen[0][0]
        [again, *_] = until(follow(stack, server, last=first), "completed")
        assert again[2]["job_id"] == job_id
        server.restart()
        assert until(follow(stack, server, last=first), "completed")
        assert server.ask("DELETE", f"/api/windlass/v1/jobs/{job_id}").status == 200
        server.restart()
        _, kind, data = next(told(follow(stack, server, last=first)))
        assert (kind, data) == ("removed", {"job_id": job_id})


def test_one_job_alone_and_what_is_removed(home: Home, hub: Hub) -> None:
    """Only its own events; an unknown job is not found; a job that is forgotten is told of as removed."""
    hub.misbehave("cdn", faults.stall(after=100), times=ALWAYS)
    with Server(home) as server, ExitStack() as stack:
        assert server.ask("GET", "/api/windlass/v1/jobs/job_0000000000/events").status == 404
        first = server.download(f"{hub.url}/{REPO}", "Q4_K_M")["job_id"]
        second = server.download(f"{hub.url}/{REPO}", "Q8_0")["job_id"]
        following = follow(stack, server, f"jobs/{second}/events")
        server.ask("POST", f"/api/windlass/v1/jobs/{first}/pause", {})
        server.ask("POST", f"/api/windlass/v1/jobs/{second}/cancel", {})
        assert {data["job_id"] for _, _, data in until(following, "failed")} == {second}
        server.ask("DELETE", f"/api/windlass/v1/jobs/{second}")
        _, kind, data = next(told(following))
        assert (kind, data) == ("removed", {"job_id": second})


def test_two_hundred_readers_and_some_who_do_not_read(home: Home, hub: Hub) -> None:
    """All hear of the end; those who do not read hold up nobody, and the server ends when it is told to."""
    with Server(home) as server, ExitStack() as stack:
        address = urlsplit(server.url)
        for _ in range(20):
            deaf = stack.enter_context(socket.create_connection((address.hostname, address.port)))
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            deaf.sendall(b"GET /api/windlass/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        readers = [follow(stack, server) for _ in range(200)]
        server.download(f"{hub.url}/{REPO}")
        assert all(until(reader, "completed") for reader in readers)
        assert server.end() == 0
