"""nginx as a hub and its CDN: listings as JSON, a redirect for each large file, the bytes at another port."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

import trustme

from benchmarks.content import Repository
from benchmarks.site import MODULES, Network, Site, write_site

_NGINX = shutil.which("nginx") or "/usr/sbin/nginx"  # of root's path only, on Debian
_PATIENCE = 10.0
_SO_MAX_PACING_RATE = 47  # asm-generic/socket.h; Python has no name for it
_PACED_BUFFER = 128 * 1024


@dataclass(frozen=True, slots=True)
class Traffic:
    """What nginx sent: its answers, and the bytes of files in them."""

    answers: int
    file_bytes: int


class OriginFailure(Exception):
    """nginx did not start; the message is what it said."""


def is_installed() -> bool:
    """Whether there is an nginx at all."""
    return Path(_NGINX).exists()


def can_delay() -> bool:
    """Whether nginx has the module that delays are made with."""
    return (MODULES / "ngx_http_lua_module.so").exists()


class Origin:
    """The repository's hub. It answers within `serving` only, and at the same address each time."""

    def __init__(self, folder: Path, repository: Repository, network: Network) -> None:
        """`folder` holds `content/<owner>/<repo>/…` already; everything else in it is written here."""
        self._hub, self._cdn = _listen(), _listen()
        if network.rate:
            _pace(self._cdn, network.rate)
        self._site = Site(folder, repository, network, _place(self._hub), _place(self._cdn))
        self.url = self._site.url
        self.ca = folder / "ca.pem"
        _make_certificates(folder)
        write_site(self._site)

    def close(self) -> None:
        """Give the ports back."""
        self._hub.close()
        self._cdn.close()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer. At the end every connection is closed, so that the log is whole."""
        for log in self._logs.iterdir():
            log.unlink()
        process = self._start()
        try:
            yield
        finally:
            process.send_signal(signal.SIGQUIT)
            _end(process)

    def traffic(self) -> Traffic:
        """What was sent while it was last serving."""
        answers = [line.split() for line in (self._logs / "access.log").read_text().splitlines()]
        sent = [int(size) for kind, status, size in answers if kind == "file" and status in {"200", "206"}]
        return Traffic(len(answers), sum(sent))

    def _start(self) -> "subprocess.Popen[bytes]":
        """Start nginx on our sockets, by the way it hands them to its successor when it is upgraded (`NGINX=3;4;`)."""
        folder, handed_over = self._site.folder, (self._hub.fileno(), self._cdn.fileno())
        with (self._logs / "said.log").open("wb") as said:
            process = subprocess.Popen(
                [_NGINX, "-e", str(self._logs / "error.log"), "-p", str(folder), "-c", "nginx.conf"],
                env={**os.environ, "NGINX": "".join(f"{number};" for number in handed_over)},
                pass_fds=handed_over,
                stdout=said,
                stderr=said,
            )
        end = time.monotonic() + _PATIENCE
        while not self._answers():
            if process.poll() is not None or time.monotonic() > end:
                process.terminate()
                _end(process)
                raise OriginFailure("".join(log.read_text() for log in sorted(self._logs.iterdir())))
        return process

    def _answers(self) -> bool:
        """Whether it does: that a connection opens says nothing, for the socket is ours."""
        if self._site.network.tls:
            trust = ssl.create_default_context(cafile=str(self.ca))
            asking: HTTPConnection = HTTPSConnection(self._site.hub, timeout=0.5, context=trust)
        else:
            asking = HTTPConnection(self._site.hub, timeout=0.5)
        try:
            asking.request("GET", "/ready")
            return asking.getresponse().status == 204
        except (OSError, HTTPException):
            return False
        finally:
            asking.close()

    @property
    def _logs(self) -> Path:
        return self._site.folder / "logs"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Wait for what was asked to end; `kill` is the last way, for it leaves nginx's workers alone."""
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _make_certificates(folder: Path) -> None:
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    server.private_key_pem.write_to_path(str(folder / "server.key"))
    (folder / "server.pem").write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))


def _listen() -> socket.socket:
    listening = socket.create_server(("127.0.0.1", 0), backlog=511)
    listening.setblocking(False)  # nginx takes it so
    return listening


def _pace(listening: socket.socket, rate: int) -> None:
    """Let every connection to come send at most `rate` bytes per second (socket(7); accepted sockets inherit it).

    Not nginx's `limit_rate`: that counts for each request and gives the first second's bytes at once, so that whoever
    asks for many short ranges is hardly limited at all. The small buffer keeps what waits in the kernel small too.
    """
    listening.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, rate)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PACED_BUFFER)


def _place(listening: socket.socket) -> str:
    host, port = listening.getsockname()
    return f"{host}:{port}"
