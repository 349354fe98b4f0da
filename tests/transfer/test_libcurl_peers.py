"""Who is at the other end of the wire: public or not, to be trusted or not, behind a proxy or not."""

import asyncio
from pathlib import Path

import pytest

from standin import Hub, faults
from transfer.wiring import Taker, saying, serving, wired
from windlass.transfer import wire as wires
from windlass.transfer.network import Cause, Cut, Patience, Request

# Who is at the other end


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "127.1", "0"])
def test_an_untrusted_address_must_be_public(hub: Hub, host: str) -> None:
    """By whatever name: the address that is really connected to decides, and no request is sent there."""

    async def ask() -> None:
        async with wired() as wire:
            with pytest.raises(Cut) as caught:
                await wire(Request(f"http://{host}:{hub.server.port}/x", trusted=False), Taker())
            assert caught.value.cause is Cause.UNSAFE

    asyncio.run(ask())
    assert hub.exchanges == []


def test_an_untrusted_request_does_not_take_a_kept_connection(hub: Hub) -> None:
    """A connection that a trusted request has opened to a private address is no way around the rule."""
    hub.add("o/r", {"m.json": b"x"})
    url = f"{hub.url}/api/resolve-cache/models/o/r/main/m.json"

    async def ask() -> None:
        async with wired() as wire:
            await wire(Request(url), Taker())
            with pytest.raises(Cut) as caught:
                await wire(Request(url, trusted=False), Taker())
            assert caught.value.cause is Cause.UNSAFE

    asyncio.run(ask())
    assert len(hub.exchanges) == 1


def test_an_untrusted_address_that_is_public_is_fine(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is connected to, and the socket is closed in the end."""
    monkeypatch.setattr(wires, "is_public", lambda _: True)  # a test has no other public address to go to
    hub.add("o/r", {"m.json": b"x"})
    taker = Taker()

    async def ask() -> None:
        async with wired() as wire:
            url = f"{hub.url}/api/resolve-cache/models/o/r/main/m.json"
            await wire(Request(url, trusted=False), taker)
            hub.misbehave("small", faults.rst(after=0))
            with pytest.raises(Cut) as caught:
                await wire(Request(url, trusted=False), Taker())
            assert caught.value.cause is Cause.BROKEN

    asyncio.run(ask())
    assert (bytes(taker.data), taker.heads[0].private) == (b"x", False)


# TLS


def test_tls_with_a_known_authority(tmp_path: Path) -> None:
    """The named file's authorities are trusted."""
    with Hub(tls=True) as hub:
        hub.add("o/r", {"m.json": b"x"})
        (tmp_path / "ca.pem").write_bytes(hub.ca_pem())
        taker = Taker()

        async def ask() -> None:
            async with wired(Patience(), ca_file=str(tmp_path / "ca.pem")) as wire:
                await wire(Request(f"{hub.url}/api/resolve-cache/models/o/r/main/m.json"), taker)

        asyncio.run(ask())
        assert taker.data == b"x"


def test_tls_with_an_unknown_authority() -> None:
    """Refused, with the cause; nothing is asked there."""
    with Hub(tls=True) as hub:

        async def ask() -> None:
            async with wired(Patience()) as wire:
                with pytest.raises(Cut) as caught:
                    await wire(Request(f"{hub.url}/x"), Taker())
                assert caught.value.cause is Cause.TLS

        asyncio.run(ask())
        assert hub.exchanges == []


@pytest.mark.parametrize("end", [b"", b"not TLS at all\r\n"])
def test_a_handshake_that_breaks_is_not_a_bad_certificate(end: bytes) -> None:
    """A connection that ends within the handshake is broken: it may be tried again, no certificate was seen."""

    async def ask() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(end)

        async with wired(Patience()) as wire, serving(handler) as url:
            with pytest.raises(Cut) as caught:
                await wire(Request(url.replace("http:", "https:")), Taker())
            assert caught.value.cause is not Cause.TLS

    asyncio.run(ask())


# Proxies


def test_a_proxys_own_answer_is_not_the_sources(tmp_path: Path) -> None:
    """The head of CONNECT's answer is never judged as a reply, and the proxy does not see the token."""
    with Hub(tls=True) as hub:
        hub.add("o/r", {"m.json": b"0123456789"})
        (tmp_path / "ca.pem").write_bytes(hub.ca_pem())
        taker, seen = Taker(), bytearray()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.extend(await reader.readuntil(b"\r\n\r\n"))
            await _relay(bytes(seen), reader, writer)

        async def ask() -> None:
            async with serving(handler) as proxy, wired(Patience(), str(tmp_path / "ca.pem"), lambda _: proxy) as wire:
                url = f"{hub.url}/api/resolve-cache/models/o/r/main/m.json"
                await wire(Request(url, 3, 5, {"Authorization": "Bearer hf_secret"}), taker)

        asyncio.run(ask())
        assert [head.status for head in taker.heads] == [206]
        assert "x-proxy" not in taker.heads[0].headers
        assert taker.data == b"345"
        assert b"CONNECT" in seen
        assert b"hf_secret" not in seen


async def _relay(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A tunnel to where CONNECT says (RFC 9110 §9.3.6), until the client ends it."""
    host, _, port = head.split()[1].decode().rpartition(":")
    there_reader, there_writer = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n")

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()

    back = asyncio.create_task(pump(there_reader, writer))
    try:
        await pump(reader, there_writer)
    finally:
        back.cancel()
        there_writer.close()
        await there_writer.wait_closed()


@pytest.mark.parametrize(("host", "private"), [("hub.test", False), ("10.0.0.1", True)])
def test_a_private_proxy_does_not_make_the_source_private(host: str, private: bool) -> None:
    """The peer of the connection is the proxy; whether the source is private is then told by its name alone."""
    taker = Taker()

    async def ask() -> None:
        answer = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        async with serving(answer) as proxy, wired(proxy=lambda _: proxy) as wire:
            await wire(Request(f"http://{host}/x"), taker)

    asyncio.run(ask())
    assert taker.heads[0].private is private


def test_a_proxy_that_refuses_is_a_broken_exchange() -> None:
    """407 to CONNECT is no reply of the source's."""
    taker = Taker()

    async def ask() -> None:
        answer = saying(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        async with serving(answer) as proxy, wired(proxy=lambda _: proxy) as wire:
            with pytest.raises(Cut):
                await wire(Request("https://hub.test/x"), taker)

    asyncio.run(ask())
    assert taker.heads == []
