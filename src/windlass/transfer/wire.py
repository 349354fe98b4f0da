"""libcurl on an asyncio loop: the one place where bytes come in.

libcurl tells which sockets to watch and when to wake it (`socket_action`); the loop does the watching. A transfer is a
coroutine that ends when its reply does. Nothing here knows of files, ranges or retries.

Why libcurl and not an HTTP library written in Python: ARCHITECTURE.md, "The parts from outside".
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pycurl

from windlass.transfer.network import Cause, Cut, Head, Patience, Receiver, Request, is_private_name, is_public

_BUFFER = 128 * 1024  # bytes of one read; what is held back in the middle of one is copied once more
_MAX_HEADERS = 64 * 1024
_WORTH_DRAINING = 16 * 1024  # an unwanted body (a redirect's page) that costs less than a new connection

_CAUSES = {
    pycurl.E_COULDNT_RESOLVE_HOST: Cause.DNS,
    pycurl.E_COULDNT_RESOLVE_PROXY: Cause.DNS,
    pycurl.E_COULDNT_CONNECT: Cause.CONNECT,
    pycurl.E_SSL_CONNECT_ERROR: Cause.CONNECT,  # the handshake broke before any certificate was judged
    pycurl.E_PEER_FAILED_VERIFICATION: Cause.TLS,
    pycurl.E_SSL_CACERT_BADFILE: Cause.TLS,
    pycurl.E_SSL_CERTPROBLEM: Cause.TLS,
    pycurl.E_SSL_CIPHER: Cause.TLS,
    pycurl.E_SSL_ISSUER_ERROR: Cause.TLS,
    pycurl.E_SSL_INVALIDCERTSTATUS: Cause.TLS,
    pycurl.E_OPERATION_TIMEDOUT: Cause.CONNECT,  # the only time limit that libcurl keeps for us is the connection's
}


class Wire:
    """A `Network` on the running loop. One of them serves all transfers, so connections are shared and kept alive.

    Args:
        ca_file: PEM file of the authorities to trust.
        proxy: answers the proxy for an address, None for none.
        patience: how long to wait for what.
    """

    def __init__(self, ca_file: str, proxy: Callable[[str], str | None], patience: Patience) -> None:
        self._loop = asyncio.get_running_loop()
        self._ca_file = ca_file
        self._proxy = proxy
        self._patience = patience
        self._timer: asyncio.TimerHandle | None = None
        self._running: dict[Any, _Exchange] = {}
        self._watched: dict[int, int] = {}  # what each socket is watched for
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._wake_after)
        self._multi.setopt(pycurl.M_MAXCONNECTS, 64)

    async def __call__(self, request: Request, receiver: Receiver) -> None:
        """Perform `request`; see `Network`."""
        proxy = self._proxy(request.url)
        exchange = _Exchange(self._loop, request, receiver, self._patience, proxied=proxy is not None)
        try:
            handle = exchange.handle = self._handle(request, exchange, proxy or "")
        except (pycurl.error, ValueError) as error:
            exchange.close()
            raise Cut(Cause.BROKEN, f"libcurl does not take the request: {error}") from error
        self._running[handle] = exchange
        self._multi.add_handle(handle)
        self._poke()
        try:
            await exchange.ended
        finally:
            exchange.close()
            del self._running[handle]
            self._multi.remove_handle(handle)
            handle.close()

    def close(self) -> None:
        """End all connections. No exchange may be running."""
        if self._timer:
            self._timer.cancel()
        self._multi.close()

    def _handle(self, request: Request, exchange: "_Exchange", proxy: str) -> Any:
        handle = pycurl.Curl()
        secure = request.url.startswith("https:")
        options: list[tuple[int, Any]] = [
            (pycurl.URL, request.url),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTPS if secure else pycurl.PROTO_HTTP),
            (pycurl.FOLLOWLOCATION, 0),  # each hop is judged by us (route.py)
            # HTTP/2 would put all segments of a file into one TCP window.
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS if request.shared else pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.PIPEWAIT, int(request.shared and secure)),  # rather wait for a connection than open one for each
            (pycurl.FRESH_CONNECT, int(request.fresh)),
            (pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in _headers(request).items()]),
            (pycurl.CAINFO, self._ca_file),
            (pycurl.CONNECTTIMEOUT_MS, int(self._patience.connect * 1000)),
            (pycurl.BUFFERSIZE, _BUFFER),
            (pycurl.NOSIGNAL, 1),
            (pycurl.PROXY, proxy),
            (pycurl.HEADERFUNCTION, exchange.header_line),
            (pycurl.WRITEFUNCTION, exchange.data),
            (pycurl.PREREQFUNCTION, exchange.connected),
        ]
        if not request.trusted and not proxy:
            options.append((pycurl.OPENSOCKETFUNCTION, exchange.open_public_socket))
        for option, value in options:
            handle.setopt(option, value)
        return handle

    def _watch(self, what: int, fd: int, _multi: Any, _data: Any) -> None:
        """Libcurl wants a socket watched for something else; most often for reading no more, or again."""
        what &= pycurl.POLL_INOUT  # POLL_REMOVE is another bit
        before = self._watched.pop(fd, 0)
        if what:
            self._watched[fd] = what
        # Told what is known already, it is another socket of the same number: libcurl tells of changes only.
        changed = what ^ before or what
        if changed & pycurl.POLL_IN:
            if what & pycurl.POLL_IN:
                self._loop.add_reader(fd, self._act, fd, pycurl.CSELECT_IN)
            else:
                self._loop.remove_reader(fd)
        if changed & pycurl.POLL_OUT:
            if what & pycurl.POLL_OUT:
                self._loop.add_writer(fd, self._act, fd, pycurl.CSELECT_OUT)
            else:
                self._loop.remove_writer(fd)

    def _wake_after(self, milliseconds: int) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if milliseconds >= 0:
            self._timer = self._loop.call_later(milliseconds / 1000, self._poke)

    def _poke(self) -> None:
        self._act(pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, fd: int, events: int) -> None:
        self._multi.socket_action(fd, events)
        while True:
            left, done, failed = self._multi.info_read()
            for handle in done:
                self._running[handle].succeed()
            for handle, code, text in failed:
                self._running[handle].fail(code, text)
            if not left:
                return


class _Exchange:
    """One request on the wire: passes libcurl's callbacks on to the receiver, and watches that bytes keep coming."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        request: Request,
        receiver: Receiver,
        patience: Patience,
        *,
        proxied: bool,
    ) -> None:
        self.ended: asyncio.Future[None] = loop.create_future()
        self.handle: Any = None
        self._loop = loop
        self._request = request
        self._proxied = proxied
        self._receiver = receiver
        self._patience = patience
        self._lines: list[bytes] = []
        self._header_size = 0
        self._head_seen = False
        self._fresh = 0
        self._sockets: list[socket.socket] = []
        self._connected = False
        self._private = False
        self._unsafe = False
        self._error: BaseException | None = None
        self._held_back: asyncio.Future[Any] | None = None
        self._watchdog = loop.call_later(
            patience.connect + patience.head, self._time_out, Cut(Cause.SILENT, "no answer came")
        )

    def connected(self, peer: str, _local: str, _peer_port: int, _local_port: int) -> int:
        """Look at who is really at the other end, on a new connection or a kept one, before the request is sent."""
        self._connected = True
        # Through a proxy the peer is the proxy, and where that stands says nothing of the source.
        host = urlsplit(self._request.url).hostname or ""
        self._private = is_private_name(host) if self._proxied else not is_public(peer)
        self._unsafe = self._private and not self._request.trusted
        return int(pycurl.PREREQFUNC_ABORT if self._unsafe else pycurl.PREREQFUNC_OK)

    def header_line(self, line: bytes) -> int | None:
        """A status line, a header, or the empty line that ends them (once for each interim reply too)."""
        self._header_size += len(line)
        if self._header_size > _MAX_HEADERS:
            return self._abort(Cut(Cause.BROKEN, "the reply's headers do not end"))
        if line.strip():
            self._lines.append(line)
            return None
        lines, self._lines = self._lines, []
        if not self._connected:
            return None  # a proxy's answer to CONNECT, not the source's
        status = int(lines[0].split()[1]) if lines else 0
        return None if status < 200 else self._show_head(status, lines[1:])

    def data(self, data: bytes) -> int | None:
        """A piece of the body."""
        if self._error:
            return None
        if not self._head_seen:  # a 101, which libcurl takes for final; we asked for no other protocol
            return self._abort(Cut(Cause.BROKEN, "the reply's body has no head that could be judged"))
        try:
            held_back = self._receiver.body(data)
        except BaseException as error:
            return self._abort(error)
        if held_back:
            self._held_back = held_back
            held_back.add_done_callback(self._unpause)
            return int(pycurl.WRITEFUNC_PAUSE)
        self._fresh += len(data)
        return None

    def open_public_socket(self, _purpose: int, address: Any) -> Any:
        """Open a socket only to a public address: the address that is really connected to, whatever its name said."""
        if not is_public(address.addr[0]):
            self._unsafe = True
            return pycurl.SOCKET_BAD
        # libcurl works on a duplicate; this one is ours to close.
        self._sockets.append(socket.socket(address.family, address.socktype, address.protocol))
        return self._sockets[-1]

    def succeed(self) -> None:
        """Libcurl says that the reply ended as its framing promised."""
        self._end(self._error if self._head_seen else Cut(Cause.BROKEN, "the reply had no head"))

    def fail(self, code: int, text: str) -> None:
        """Libcurl gave up; our own reason, where there is one, came first."""
        unsafe = Cut(Cause.UNSAFE, "the address is not a public one") if self._unsafe else None
        self._end(self._error or unsafe or Cut(_CAUSES.get(code, Cause.BROKEN), text or f"libcurl error {code}"))

    def close(self) -> None:
        """No more callbacks."""
        self._watchdog.cancel()
        for opened in self._sockets:
            opened.close()
        if self._held_back:
            self._held_back.remove_done_callback(self._unpause)
            self._held_back = None

    def _show_head(self, status: int, lines: list[bytes]) -> int | None:
        self._head_seen = True
        self._watch_for_stalls()
        pairs = (line.decode("latin-1").partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        try:
            self._receiver.head(Head(status, headers, private=self._private))
        except BaseException as error:
            length = headers.get("content-length", "")
            if not length.isdecimal() or int(length[:20]) > _WORTH_DRAINING:
                return self._abort(error)
            self._error = error  # told when the body has been read, so that the connection can be kept
        return None

    def _watch_for_stalls(self) -> None:
        self._watchdog.cancel()
        self._fresh = 0
        self._watchdog = self._loop.call_later(self._patience.stall, self._check_for_stall)

    def _check_for_stall(self) -> None:
        if self._fresh < self._patience.floor and not self._held_back:  # else it is us who hold it back
            self._time_out(Cut(Cause.STALLED, f"fewer than {self._fresh + 1} bytes came in {self._patience.stall:g} s"))
        else:
            self._watch_for_stalls()

    def _unpause(self, _future: "asyncio.Future[Any]") -> None:
        if not self._held_back:
            return  # the exchange has ended in the same moment
        self._held_back = None
        self._fresh = self._patience.floor  # the source had no chance to show what it can do
        try:
            self.handle.pause(pycurl.PAUSE_CONT)
        except pycurl.error as error:  # bytes that waited were offered within this call, and the receiver raised
            self.fail(*error.args)

    def _time_out(self, cut: Cut) -> None:
        # A connection of HTTP/2 outlives its streams; one that may be dead must not be offered to others for ever.
        self.handle.setopt(pycurl.FORBID_REUSE, 1)
        self._end(self._error or cut)

    def _abort(self, error: BaseException) -> int:
        self._error = error
        return -1

    def _end(self, error: BaseException | None) -> None:
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)


def _headers(request: Request) -> dict[str, str]:
    # A range is sent even for a whole file: the 206 proves that the server would let us go on after a cut.
    last = "" if request.last is None else request.last
    return {"Accept-Encoding": "identity", "Accept": "*/*", **request.headers, "Range": f"bytes={request.first}-{last}"}
