"""nginx as a hub and its CDN: listings as JSON, a redirect for each large file, the bytes at another port.

What a hub answers follows Hugging Face: https://huggingface.co/docs/hub/api and what the Hub was seen to send. nginx is
told everything by a generated configuration; nothing of the machine's own nginx is read or written.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from benchmarks.content import COMMIT, Repository

_PAGE = 1_000  # files of a listing that the Hub answers with at once
_MODULES = Path("/usr/lib/nginx/modules")
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Network:
    """What lies between: `delay` in seconds before each answer, `rate` in bytes per second and connection."""

    delay: float = 0.0
    rate: int = 0
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Traffic:
    """What nginx sent: its answers, and the bytes of files in them."""

    answers: int
    file_bytes: int


class OriginFailure(Exception):
    """nginx did not start; the message is what it said."""


def can_delay() -> bool:
    """Whether nginx has the module that delays are made with."""
    return (_MODULES / "ngx_http_lua_module.so").exists()


class Origin:
    """The repositories' hub. It answers within `serving` only, and at the same address each time."""

    def __init__(self, folder: Path, repositories: Sequence[Repository]) -> None:
        """`folder` holds `content/<owner>/<repo>/…` already; everything else in it is written here."""
        self._folder = folder
        self._repositories = repositories
        self._ports = _free_ports(4)
        self.ca = folder / "ca.pem"
        for part in ("api", "logs", "temporary"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        _make_certificates(folder)

    def url(self, network: Network) -> str:
        """The hub's address, what `HF_ENDPOINT` is set to."""
        return f"https://127.0.0.1:{self._ports[2]}" if network.tls else f"http://127.0.0.1:{self._ports[0]}"

    @contextmanager
    def serving(self, network: Network) -> Iterator[None]:
        """Answer. At the end every connection is closed, so that the log is whole."""
        for log in (self._folder / "logs").iterdir():
            log.unlink()
        self._write_listings(self.url(network))
        (self._folder / "nginx.conf").write_text(self._configuration(network))
        process = self._start(network)
        try:
            yield
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(_PATIENCE)

    def traffic(self) -> Traffic:
        """What was sent while it was last serving."""
        answers = [line.split() for line in (self._folder / "logs" / "access.log").read_text().splitlines()]
        sent = [int(size) for kind, status, size in answers if kind == "file" and status in {"200", "206"}]
        return Traffic(len(answers), sum(sent))

    def _start(self, network: Network) -> "subprocess.Popen[bytes]":
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        errors = self._folder / "logs" / "error.log"
        with (self._folder / "logs" / "said.log").open("wb") as said:
            process = subprocess.Popen(
                [nginx, "-e", str(errors), "-p", str(self._folder), "-c", "nginx.conf"], stdout=said, stderr=said
            )
        port, end = self._ports[2 if network.tls else 0], time.monotonic() + _PATIENCE
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                process.wait()
                raise OriginFailure((self._folder / "logs" / "said.log").read_text())
            time.sleep(0.005)
        return process

    def _write_listings(self, base: str) -> None:
        for repository in self._repositories:
            folder = self._folder / "api" / repository.name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "info.json").write_text(json.dumps(_info(repository)))
            for number, page in enumerate(_pages(repository)):
                (folder / f"tree{number or ''}.json").write_text(json.dumps(page))
        self._links = {
            f"{repository.name}:{number or ''}": _link(base, repository.name, number + 1)
            for repository in self._repositories
            for number in range(len(_pages(repository)) - 1)
        }

    def _configuration(self, network: Network) -> str:
        hub, cdn = self._ports[2:] if network.tls else self._ports[:2]
        scheme = "https" if network.tls else "http"
        secure = " ssl" if network.tls else ""
        files = [(f"{r.name}/{file.path}", file) for r in self._repositories for file in r.files]
        return _CONFIGURATION.format(
            modules=_load_modules(network),
            user="user root;" if os.geteuid() == 0 else "",
            workers=os.cpu_count(),
            folder=self._folder,
            digests=_map({path: file.digest for path, file in files}),
            sizes=_map({path: str(file.size) for path, file in files if file.large}),
            links=_map(self._links),
            certificate=f"ssl_certificate {self._folder}/server.pem; ssl_certificate_key {self._folder}/server.key;"
            if network.tls
            else "",
            hub=f"127.0.0.1:{hub}{secure}",
            cdn=f"127.0.0.1:{cdn}{secure}",
            cdn_url=f"{scheme}://127.0.0.1:{cdn}",
            commit=COMMIT,
            delay=f"access_by_lua_block {{ ngx.sleep({network.delay}) }}" if network.delay else "",
            rate=f"limit_rate {network.rate};" if network.rate else "",
        )


def _info(repository: Repository) -> dict[str, object]:
    return {
        "id": repository.name,
        "sha": COMMIT,
        "private": False,
        "gated": False,
        "disabled": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": [{"rfilename": file.path} for file in repository.files],
    }


def _pages(repository: Repository) -> list[list[dict[str, object]]]:
    entries: list[dict[str, object]] = []
    for file in repository.files:
        entry: dict[str, object] = {"type": "file", "oid": file.git_sha1, "size": file.size, "path": file.path}
        lfs = {"oid": file.sha256, "size": file.size, "pointerSize": 135}
        entries.append({**entry, "lfs": lfs} if file.large else entry)
    return [entries[at : at + _PAGE] for at in range(0, len(entries), _PAGE)]


def _link(base: str, name: str, page: int) -> str:
    """RFC 8288, as the Hub's listings have it."""
    return f'<{base}/api/models/{name}/tree/{COMMIT}?recursive=true&expand=false&cursor={page}>; rel="next"'


def _map(entries: dict[str, str]) -> str:
    return "\n".join(f"    '{key}' '{value}';" for key, value in entries.items())


def _load_modules(network: Network) -> str:
    names = ("ndk_http_module.so", "ngx_http_lua_module.so") if network.delay else ()
    return "\n".join(f"load_module {_MODULES / name};" for name in names)


def _make_certificates(folder: Path) -> None:
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    server.private_key_pem.write_to_path(str(folder / "server.key"))
    (folder / "server.pem").write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


# A redirect is made in two steps, because `return` in a location would come before its delay: `try_files` comes after
# it and finds nothing. The ETag of the CDN is nginx's own and says nothing about the content, as that of the Hub's CDN.
_CONFIGURATION = """\
{modules}
{user}
daemon off;
pid {folder}/nginx.pid;
worker_processes {workers};
worker_shutdown_timeout 2s;
events {{ worker_connections 1024; }}
http {{
  client_body_temp_path {folder}/temporary/body;
  proxy_temp_path {folder}/temporary/proxy;
  fastcgi_temp_path {folder}/temporary/fastcgi;
  uwsgi_temp_path {folder}/temporary/uwsgi;
  scgi_temp_path {folder}/temporary/scgi;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  map_hash_max_size 16384;
  map_hash_bucket_size 512;
  {certificate}
  log_format kinds '$kind $status $body_bytes_sent';
  access_log {folder}/logs/access.log kinds;

  map $uri $file {{
    '~^/(?<to_repo>[^/]+/[^/]+)/resolve/[^/]+/(?<to_path>.+)$' '$to_repo/$to_path';
    '~^/api/resolve-cache/models/(?<in_repo>[^/]+/[^/]+)/[^/]+/(?<in_path>.+)$' '$in_repo/$in_path';
  }}
  map $file $digest {{
{digests}
  }}
  map $file $large_size {{
{sizes}
  }}
  map '$repo:$arg_cursor' $next_page {{
{links}
  }}
  map $large_size $large_digest {{
    default '"$digest"';
    '' '';
  }}

  server {{
    listen {hub};
    set $kind talk;
    set $repo '';
    location ~ '^/api/models/(?<named>[^/]+/[^/]+)(/revision/[^/]+)?$' {{
      {delay}
      default_type application/json;
      root {folder}/api;
      try_files /$named/info.json =404;
    }}
    location ~ '^/api/models/(?<listed>[^/]+/[^/]+)/tree/[^/]+$' {{
      set $repo $listed;
      {delay}
      default_type application/json;
      root {folder}/api;
      add_header Link $next_page;
      try_files /$listed/tree$arg_cursor.json =404;
    }}
    location ~ '^/[^/]+/[^/]+/resolve/[^/]+/' {{
      {delay}
      try_files /nothing-has-this-name @redirect;
    }}
    location @redirect {{
      add_header X-Repo-Commit {commit} always;
      add_header X-Linked-Size $large_size always;
      add_header X-Linked-ETag $large_digest always;
      add_header Cache-Control no-store always;
      if ($digest = '') {{ return 404; }}
      if ($large_size = '') {{ return 307 /api/resolve-cache/models/$to_repo/{commit}/$to_path; }}
      return 302 {cdn_url}/$file?Expires=3600&Signature=none;
    }}
    location ~ '^/api/resolve-cache/models/(?<own_repo>[^/]+/[^/]+)/[^/]+/(?<own_path>.+)$' {{
      {delay}
      set $kind file;
      root {folder}/content;
      etag off;
      add_header ETag '"$digest"';
      add_header X-Repo-Commit {commit};
      try_files /$own_repo/$own_path =404;
    }}
    location / {{ return 404; }}
  }}

  server {{
    listen {cdn};
    set $kind file;
    location / {{
      {delay}
      {rate}
      root {folder}/content;
    }}
  }}
}}
"""
