"""A small web site on a loopback port, whose answers a test writes down, and a clock that does not wait."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from windlass.hub.web import Timing


@dataclass
class Answer:
    """What the site sends. A `Content-Length` is added unless `headers` has one."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """Answers by path (with its query). A list of answers is used up one by one, the last one stays."""

    address: str = ""
    pages: dict[str, Answer | list[Answer] | Callable[[], Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def answer(self, path: str) -> Answer:
        page = self.pages.get(path, Answer(404))
        if isinstance(page, list):
            return page.pop(0) if len(page) > 1 else page[0]
        return page if isinstance(page, Answer) else page()


def serve(site: Site) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: apart they cost 40 ms of delayed acknowledgement

        def do_GET(self) -> None:
            site.asked.append(self.path)
            site.headers.append({name.lower(): value for name, value in self.headers.items()})
            answer = site.answer(self.path)
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that hangs up on an endless body is what the tests want."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    site.address = f"http://127.0.0.1:{server.server_port}"
    return server


@dataclass
class Clock:
    """Time that passes only when someone sleeps. `chance` is what randomness gives."""

    slept: list[float] = field(default_factory=list)
    chance: float = 0.5

    @property
    def timing(self) -> Timing:
        return Timing(self.slept.append, lambda: self.chance, lambda: sum(self.slept), self.now)

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


COMMIT = "c" * 40


def as_json(value: object, **headers: str) -> Answer:
    return Answer(body=json.dumps(value).encode(), headers=headers)


def add_repository(site: Site, repo: str, *paths: str, texts: dict[str, str] | None = None, **info: object) -> None:
    """A repository whose files are as large as their names are long; `texts` have content that can be read."""
    told = {"id": repo, "sha": COMMIT, **info}
    site.pages[f"/api/models/{repo}"] = site.pages[f"/api/models/{repo}/revision/main"] = as_json(told)
    tree = [
        {"type": "file", "path": path, "oid": "1" * 40, "size": len(path), "lfs": {"oid": "2" * 64, "size": len(path)}}
        for path in paths
    ]
    for path, text in (texts or {}).items():
        tree.append({"type": "file", "path": path, "oid": "1" * 40, "size": len(text)})
        site.pages[f"/{repo}/resolve/{COMMIT}/{path}"] = Answer(body=text.encode())
    site.pages[f"/api/models/{repo}/tree/{COMMIT}?recursive=true&expand=false"] = as_json(tree)
