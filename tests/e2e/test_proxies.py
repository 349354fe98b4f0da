"""The way out by a SOCKS proxy: questions and bytes go by different libraries, and both take it."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from e2e.outside import Home
from standin import Hub


class Socks:
    """A SOCKS 5 proxy without passwords (RFC 1928): CONNECT to IPv4 addresses and names; where to is noted."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.asked: list[tuple[str, int]] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as said:
            said.read(said.read(2)[1])  # the methods that it knows
            client.sendall(b"\x05\x00")
            kind = said.read(4)[3]
            host = socket.inet_ntoa(said.read(4)) if kind == 1 else said.read(said.read(1)[0]).decode()
            (port,) = struct.unpack("!H", said.read(2))
            self.asked.append((host, port))
            with socket.create_connection((host, port)) as there:
                client.sendall(b"\x05\x00\x00\x01" + bytes(6))
                back = threading.Thread(target=_pass_on, args=(there, client))
                back.start()
                _pass_on(client, there)
                back.join()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def socks() -> Iterator[Socks]:
    with closing(Socks()) as proxy:
        yield proxy


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_all_goes_by_a_socks_proxy(acme: Hub, home: Home, socks: Socks, scheme: str) -> None:
    """Hub, catalog and CDN are asked through it alone; the model is whole."""
    ended = home.run("get", "acme/rope-8b", ALL_PROXY=f"{scheme}://{socks.url}")
    assert ended.returncode == 0, ended.stderr
    ports = {int(url.rpartition(":")[2]) for url in (acme.url, acme.cdn.url)}
    assert {port for _, port in socks.asked} == ports


def test_a_proxy_that_is_not_there_is_named(acme: Hub, home: Home) -> None:
    """Not the hub alone: who reads the error may not know that there is a proxy. Its password is nobody's business."""
    for scheme in ("http", "socks5"):
        ended = home.run("get", "acme/rope-8b", ALL_PROXY=f"{scheme}://me:S3CR3T@127.0.0.1:9")
        assert ended.returncode == 6
        assert f"through the proxy {scheme}://…@127.0.0.1:9" in ended.stderr
        assert "S3CR3T" not in ended.stderr
