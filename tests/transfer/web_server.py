"""A real web server, nginx with HTTP/2 over TLS, behind a cable that can be cut or go dead."""

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import trustme

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"  # of root's path only, on Debian
_PATIENCE = 10.0
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST

_CONFIGURATION = """\
{user}
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
  client_body_temp_path {folder}/temporary;
  proxy_temp_path {folder}/temporary;
  fastcgi_temp_path {folder}/temporary;
  uwsgi_temp_path {folder}/temporary;
  scgi_temp_path {folder}/temporary;
  log_format seen '$server_protocol $connection $status $uri';
  access_log {folder}/access.log seen;
  ssl_certificate {folder}/server.pem;
  ssl_certificate_key {folder}/server.key;
  server {{
    listen unix:{folder}/socket ssl http2;
    root {folder}/files;
    {more}
  }}
}}
"""


def is_installed() -> bool:
    return Path(NGINX).exists()


class Seen(NamedTuple):
    """A line of the server's log."""

    protocol: str
    connection: str
    status: str
    path: str


@dataclass
class Cable:
    """What lies between a port of this machine and a socket in a folder: it counts connections, and can go bad."""

    to: Path
    connections: int = 0
    _broken: int = 0  # up to this number, nothing comes through any more
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Every connection there is breaks."""
        self.go_dead()
        with self._lock:
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    end.shutdown(socket.SHUT_RDWR)

    def go_dead(self) -> None:
        """Every connection there is stays open, and nothing comes through it any more."""
        with self._lock:
            self._broken = self.connections

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self.to))
                with self._lock:
                    self.connections += 1
                    self._open |= {client, server}
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(*ends, self.connections), daemon=True).start()

    def _pass_on(self, source: socket.socket, to: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if number > self._broken:
                    to.sendall(data)
        for end in (source, to):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open -= {source, to}
        source.close()


@dataclass
class WebServer:
    """A running nginx."""

    folder: Path
    cable: Cable

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.cable.port}"

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def seen(self) -> list[Seen]:
        return [Seen(*line.split()) for line in (self.folder / "access.log").read_text().splitlines()]


@contextlib.contextmanager
def serving(folder: Path, files: Mapping[str, bytes], more: str = "") -> Iterator[WebServer]:
    """Have nginx serve these files. `folder` must have a short name: a socket's is at most 107 bytes (unix(7))."""
    for path, content in files.items():
        (folder / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "files" / path).write_bytes(content)
    _certify(folder)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_CONFIGURATION.format(folder=folder, user=user, more=more))
    command = [NGINX, "-e", str(folder / "error.log"), "-p", str(folder), "-c", "nginx.conf"]
    with (folder / "said.log").open("wb") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            _wait_for(folder / "socket", process)
            cable = Cable(folder / "socket")
            yield WebServer(folder, cable)
            cable.close()
        finally:
            process.send_signal(signal.SIGTERM)


def _certify(folder: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "server.key"))
    (folder / "server.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))


def _wait_for(path: Path, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _PATIENCE
    while not path.exists():
        assert process.poll() is None, path.with_name("said.log").read_text()
        assert time.monotonic() < end
        time.sleep(0.01)
