"""Floods of requests that are none, too large, broken off or from elsewhere: refused each, and the server is as before.

Over raw sockets, for no client would send them. How long somebody may take, and how many may come at once, is not
tested here.
"""

import json
import random
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from e2e.conftest import MIB
from e2e.outside import Json, Server
from standin import ALWAYS, Hub, faults

DOWNLOAD, OWN = "/api/v1/models/download", "/api/windlass/v1"
AT_ONCE = 8
LEAK = 1_500  # bytes for each request that would be noticed; what does not leak leaves some 300

OURS, JSON = "Host: 127.0.0.1", "Content-Type: application/json"


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([line, *headers, "Connection: close", "", ""]).encode("latin-1")


def post(body: bytes, *headers: str, path: str = DOWNLOAD, method: str = "POST", host: str = OURS) -> bytes:
    return head(f"{method} {path} HTTP/1.1", host, f"Content-Length: {len(body)}", *(headers or (JSON,))) + body


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return head(f"{method} {path} HTTP/1.1", *(headers or (OURS,)))


# What is sent, and the status that it is answered with; 0 for what is broken off before it could be answered.
NO_HTTP: list[tuple[bytes, int]] = [
    (bytes.fromhex("160301020001000 1fc0303".replace(" ", "")) + bytes(range(256)), 400),  # TLS, to a port without
    (b"\r\n\r\n\r\n\r\nquit\r\n", 400),
    (b"GET\r\n\r\n", 400),
    (head("GET / HTTP/x.1", OURS), 400),
    (head("GET / HTTP/1.1"), 400),  # no Host
    (head("GET / HTTP/1.1", OURS, OURS), 400),
    (head("GET / HTTP/1.1", OURS, "no colon"), 400),
    (head("GET / HTTP/1.1", OURS, "X: \0"), 400),
    (head("GET / HTTP/1.1", OURS, "X : space"), 400),
    (head("G\xe9T / HTTP/1.1", OURS), 400),
    (head("GET / HTTP/1.1", OURS, f"X: {'x' * 1_000_000}"), 400),
    (head("GET / HTTP/1.1", OURS, *(f"X-{n}: {n}" for n in range(50_000))), 400),
    (get(f"/{'x' * 1_000_000}"), 400),
    (post(b"{}", JSON, "Content-Length: 3"), 400),
    *(
        (head(f"POST {DOWNLOAD} HTTP/1.1", OURS, JSON, f"Content-Length: {size}"), 400)
        for size in ("-1", "x", "9" * 40)
    ),
    (head(f"POST {DOWNLOAD} HTTP/1.1", OURS, JSON, "Transfer-Encoding: gzip"), 400),
]
TOO_LARGE: list[tuple[bytes, int]] = [
    (post(b'{"model": "%s"}' % (b"x" * 70_000)), 413),
    (head(f"POST {DOWNLOAD} HTTP/1.1", OURS, JSON, "Content-Length: 1000000000"), 413),
    (head(f"PUT {OWN}/limits HTTP/1.1", OURS, JSON, "Content-Length: 99999999999999999999"), 413),
    (
        head(f"POST {OWN}/plan HTTP/1.1", OURS, JSON, "Transfer-Encoding: chunked")
        + b"8000\r\n%s\r\n" % bytes(32768) * 4,
        413,
    ),
]
NONSENSE: list[tuple[bytes, int]] = [
    *((post(body), 400) for body in (b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 60_000, b'{"model": 1e999}')),
    *(
        (post(b'{"model": "%s"}' % model), 400)
        for model in (b"", b"x" * 60_000, b"../..", b"a/b/c", b"\\u0000/\\ud800")
    ),
    (post(b'{"model": "a/b", "quantization": []}'), 400),
    (post(b"{}", "Content-Type: text/plain"), 415),
    (post(b'{"max_jobs": -1}', path=f"{OWN}/limits", method="PUT"), 400),
    (post(b'{"priority": 1}', path=f"{OWN}/jobs/{'x' * 5000}", method="PATCH"), 404),
    (post(b"", path=f"{OWN}/jobs/job_0000000000/cancel"), 404),
    (get(f"{DOWNLOAD}/status/%ff%00%2e%2e%2f"), 404),
    (get(f"{OWN}/jobs?limit={'9' * 3000}"), 400),
    (get(f"{OWN}/jobs?cursor=%00"), 400),
    (get("//..//../etc/passwd"), 404),
    (get("*", method="OPTIONS"), 404),
    (get("/api/v1/models", method="BREW"), 405),
]
FOREIGN: list[tuple[bytes, int]] = [
    (get("/api/v1/models", "Host: evil.example"), 403),
    (get("/api/v1/models", "Host: 127.0.0.1.evil.example:1234"), 403),
    (get("/api/v1/models", "Host: ["), 403),
    (post(b'{"model": "acme/rope-8b"}', host="Host: evil.example"), 403),
    (get("/api/v1/models", OURS, "Origin: http://evil.example"), 403),
    (get("/api/v1/models", OURS, "Origin: null"), 403),
    (post(b'{"model": "acme/rope-8b"}', JSON, "Origin: https://127.0.0.1.evil.example"), 403),
]
BROKEN_OFF: list[tuple[bytes, int]] = [
    (b"", 0),
    (b"G", 0),
    (head(f"GET {OWN}/jobs HTTP/1.1", OURS)[:-2], 0),
    (post(b'{"model": "acme/rope-8b"}')[:-1], 0),
    (head(f"POST {DOWNLOAD} HTTP/1.1", OURS, JSON, "Transfer-Encoding: chunked") + b"5\r\n{", 0),
]
FLOOD = [*NO_HTTP, *TOO_LARGE, *NONSENSE, *FOREIGN, *BROKEN_OFF]


def ask(address: tuple[str, int], sent: bytes, status: int) -> None:
    """Send it, and hold what comes against what should."""
    with socket.create_connection(address, timeout=20) as connection:
        answer = _exchange(connection, sent, status)
    if answer is None:  # what is still on its way when the answer is given can take that with it (RFC 9112 §9.6)
        assert len(sent) > 60_000
    elif status:
        assert answer.startswith(b"HTTP/1.1 %d " % status), (sent[:200], answer[:300])
        assert {"type", "message", "code"} <= set(json.loads(answer.partition(b"\r\n\r\n")[2])["error"])


def _exchange(connection: socket.socket, sent: bytes, status: int) -> bytes | None:
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(sent)
    answer = b""
    try:
        while status and (data := connection.recv(65536)):
            answer += data
    except ConnectionResetError:
        return answer or None
    return answer


def flood(server: Server, times: int) -> int:
    """Send all there is, so many times, in any order, some at once; how many requests that were."""
    parts = urlsplit(server.url)
    address = (str(parts.hostname), int(parts.port or 0))
    requests = FLOOD * times
    random.Random(7).shuffle(requests)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda request: ask(address, *request), requests))
    return len(requests)


def resident(server: Server) -> int:
    """Bytes of memory that the process has now (proc(5), `VmRSS`)."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def standing(server: Server) -> dict[str, tuple[str, int]]:
    """Every job's status and bytes."""
    lists: dict[str, list[Json]] = server.ask("GET", f"{DOWNLOAD}/status").json
    return {job["job_id"]: (job["status"], job["downloaded_bytes"]) for rows in lists.values() for job in rows}


def test_a_flood_leaves_no_trace(acme: Hub, server: Server) -> None:
    """Each request is refused as it should be; no job is lost or moved, no memory kept, and what is asked for comes."""
    done = server.finished(server.download("acme/rope-8b")["job_id"])["job_id"]
    acme.misbehave("cdn", faults.stall(after=MIB // 2), times=ALWAYS)
    paused, running = server.download("acme/Eye-GGUF")["job_id"], server.download("acme/Big-GGUF")["job_id"]
    server.until(running, lambda job: job["downloaded_bytes"] >= MIB)
    server.ask("POST", f"{OWN}/jobs/{paused}/pause")
    before = standing(server)
    assert {job_id: status for job_id, (status, _) in before.items()} == {
        done: "completed",
        paused: "paused",
        running: "downloading",
    }
    flood(server, 20)  # what is kept from the first time on is no leak: threads, buffers, modules
    memory = resident(server)
    count = flood(server, 60)
    assert resident(server) - memory < LEAK * count
    assert standing(server) == before
    assert "Traceback" not in server.said
    acme.behave()
    server.ask("POST", f"{OWN}/jobs/{running}/pause")
    for job_id in (running, paused):
        server.ask("POST", f"{OWN}/jobs/{job_id}/resume")
        assert server.finished(job_id)["status"] == "completed"
