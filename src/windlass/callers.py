"""Those who connect to a server of ours: bounded in number, and in the time that they may take to ask and to listen.

uvicorn bounds neither. Whoever opens connections and sends a byte a minute, or never reads an answer, would hold memory
and file descriptors for ever.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from windlass.errors import InvalidRequest, RequestTimeout, TooManyConnections, WindlassError

MOST = 512  # connections; with what else is open that stays below the usual bound of 1,024 file descriptors
TO_ASK = 20.0  # seconds from the first byte of a request, or the connection's begin, to the last of its body
TO_LISTEN = 60.0  # seconds that an answer may wait for its reader to take anything of it


class Caller(H11Protocol):
    """One connection: uvicorn's own, with deadlines.

    Attributes:
        most: connections at a time; the next one takes the place of the one on which nothing has been asked, or not to
            the end, for longest. So those that dawdle make room for those that do not; where all are being answered,
            the next one is refused.
        to_ask: see `TO_ASK`.
        to_listen: see `TO_LISTEN`.
    """

    most: ClassVar[int] = MOST
    to_ask: ClassVar[float] = TO_ASK
    to_listen: ClassVar[float] = TO_LISTEN

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._waits_since = self.loop.time()
        self._asking: asyncio.TimerHandle | None = None
        self._listening: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has connected."""
        super().connection_made(transport)
        if len(self.connections) > self.most and not self._take_place():
            self._refuse(503, TooManyConnections("Too many connections are open here.", hint="Try again in a while."))
        else:
            self._see_to_it()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._asked()
        self._listened()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some of a request has come."""
        super().data_received(data)
        self._see_to_it()

    def on_response_complete(self) -> None:
        """An answer has been given."""
        self._waits_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The reader does not keep up."""
        super().pause_writing()
        self._listening = self.loop.call_later(self.to_listen, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken most of what was waiting."""
        super().resume_writing()
        self._listened()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as all else that is wrong is answered (docs/rest.md)."""
        self._refuse(400, InvalidRequest("This is no HTTP request that can be read."))

    def _see_to_it(self) -> None:
        """Have a request be whole in time."""
        if not self._waits:
            self._asked()
        elif self._asking is None and not self.transport.is_closing():
            self._asking = self.loop.call_later(self.to_ask, self._give_up)

    @property
    def _waits(self) -> bool:
        """Whether it has nothing that could be answered."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _give_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self._refuse(408, RequestTimeout("The request did not come in time."))
        else:
            self.transport.abort()  # in its midst there is nobody to tell

    def _take_place(self) -> bool:
        """End the connection that has waited longest; whether there is one."""
        others = [one for one in self.connections if isinstance(one, Caller) and one is not self]
        waiting = [one for one in others if one._waits and not one.transport.is_closing()]
        if waiting:
            min(waiting, key=lambda one: one._waits_since).transport.abort()
        return bool(waiting)

    def _refuse(self, status: int, error: WindlassError) -> None:
        """By hand: the machine that makes answers may be in the midst of a request, or know of none."""
        kind = "invalid_request" if status < 500 else error.code
        body = json.dumps({"error": {"type": kind, "message": str(error), "code": error.code}})
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode())
        self.transport.close()

    def _asked(self) -> None:
        if self._asking:
            self._asking.cancel()
        self._asking = None

    def _listened(self) -> None:
        if self._listening:
            self._listening.cancel()
        self._listening = None
