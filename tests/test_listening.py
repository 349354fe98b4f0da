"""A port to listen at: it answers when the block begins, is free when it ends, and ends well at a signal."""

import os
import signal
import socket
import threading
import time
import urllib.request
from typing import Any

import pytest

from windlass.errors import StateFailure
from windlass.listening import Listening


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers anything with ok."""
    if scope["type"] == "lifespan":
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def ask(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        return bytes(answer.read())


def test_it_answers_from_the_first_line_of_the_block_to_its_last() -> None:
    """At a free port that it names; afterwards nobody listens there."""
    with Listening(app) as listening:
        assert listening.url == f"http://127.0.0.1:{listening.port}"
        assert ask(listening.url) == b"ok"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", listening.port), timeout=5).close()


def test_an_address_of_ipv6_is_written_in_brackets() -> None:
    """As an address needs it (RFC 3986 §3.2.2)."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        listening = Listening(app, "::1")
    except StateFailure:
        pytest.skip("no ::1 here")
    with listening:
        assert listening.url == f"http://[::1]:{listening.port}"
        assert ask(listening.url) == b"ok"


def test_a_port_that_is_taken_is_told() -> None:
    """Before anything is served, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StateFailure, match=f"Nothing can listen at 127.0.0.1:{port}") as caught:
            Listening(app, port=port)
    assert caught.value.hint
    assert "--port" in caught.value.hint


@pytest.mark.parametrize("host", ["no-such-host.invalid", "256.1.1.1", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_told(host: str) -> None:
    """No traceback of the resolver."""
    with pytest.raises(StateFailure, match="Nothing can listen"):
        Listening(app, host)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    """One line on stdout when it answers; at the signal the block ends, and the handlers are what they were."""
    before = signal.getsignal(number)
    with Listening(app) as listening:

        class Telling:
            def write(self, text: str) -> None:
                said.append(text)

            def flush(self) -> None:
                threading.Thread(target=os.kill, args=(os.getpid(), number)).start()

        said: list[str] = []
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("sys.stdout", Telling())
            listening.until_ended()
        assert said == [f"Listening on {listening.url}\n"]
    assert signal.getsignal(number) is before


def test_a_signal_that_another_thread_gets_ends_it() -> None:
    """The kernel may choose any thread, and the one that waits for the end is not woken by that."""

    def get_it() -> None:
        time.sleep(0.1)  # until the main thread waits
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    rescue = threading.Timer(10, os.kill, (os.getpid(), signal.SIGTERM))
    with Listening(app) as listening:
        for thread in (threading.Thread(target=get_it), rescue):
            thread.start()
        listening.until_ended()
        assert rescue.is_alive()
        rescue.cancel()
