"""What may go wrong with an answer. Each function here makes a `Fault`: the good answer goes in, the bad one comes out.

A fault returns the very same answer when it has nothing to spoil there (a cut beyond the end, a range fault on a whole
answer); such a rule waits for the next request.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from standin.content import Bytes, Flipped, Repeated, Slice, gzipped
from standin.wire import Manner, Reply, Request

Fault = Callable[[Request, Reply], Reply]


# How it is sent


def _cut(after: int, **manner: object) -> Fault:
    def fault(request: Request, reply: Reply) -> Reply:
        if reply.body.size < after or request.method == "HEAD":
            return reply
        return replace(reply, manner=replace(reply.manner, after=after, **manner))  # type: ignore[arg-type]

    return fault


def _sent(**manner: object) -> Fault:
    return lambda _, reply: replace(reply, manner=replace(reply.manner, **manner))  # type: ignore[arg-type]


def fin(after: int) -> Fault:
    """The connection ends in good order after so many bytes of body."""
    return _cut(after, then="fin")


def rst(after: int) -> Fault:
    """The connection is reset after so many bytes of body."""
    return _cut(after, then="rst")


def stall(after: int) -> Fault:
    """Nothing more comes after so many bytes of body; the connection stays open."""
    return _cut(after, then="wait")


def hold(gate: threading.Event, after: int = 0) -> Fault:
    """The body waits at that byte until the test opens the gate, then goes on."""
    return _cut(after, then="wait", gate=gate)


def trickle(pause: float = 1.0, gate: threading.Event | None = None) -> Fault:
    """One byte at a time, `pause` seconds apart, until the gate opens."""
    return _sent(block=1, pause=pause, gate=gate)


def pace(bytes_per_second: int) -> Fault:
    """The body comes no faster than this on its connection."""
    return _sent(rate=bytes_per_second)


def hold_head(gate: threading.Event) -> Fault:
    """Not even the status line comes before the test opens the gate."""
    return _sent(before=gate)


def slow_head(pause: float) -> Fault:
    """The status line and each header come `pause` seconds after the one before."""
    return _sent(head_pause=pause)


def silence() -> Fault:
    """The request is read and never answered."""
    return _sent(head=False, then="wait")


def no_answer(how: str = "fin") -> Fault:
    """The connection ends (`fin` or `rst`) without a byte of answer."""
    return _sent(head=False, then=how)


def chunked() -> Fault:
    """The body comes in chunks, its length unknown (RFC 9112 §7.1)."""
    return _sent(framing="chunked")


def until_close() -> Fault:
    """The body comes without a length and ends with the connection (RFC 9112 §6.3)."""
    return _sent(framing="close")


# Another answer


def status(code: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Fault:
    """Just that status."""
    return lambda _, reply: Reply(code, dict(headers or {}), Bytes(body))


def rate_limited(seconds: int, retry_after: int | str | None = None) -> Fault:
    """429 as Hugging Face writes it, or with `Retry-After` alone where that is given."""
    if retry_after is not None:
        return status(429, {"Retry-After": str(retry_after)})
    return status(429, {"RateLimit": f'"resolvers";r=0;t={seconds}'}, b'{"error":"Too many requests"}')


def redirect(location: str, code: int = 302) -> Fault:
    return status(code, {"Location": location})


def redirect_loop() -> Fault:
    """Redirects to the address that was asked."""
    return lambda request, _: Reply(302, {"Location": request.target})


def garbage_json() -> Fault:
    return status(200, {"Content-Type": "application/json"}, b'{"sha": "not the end')


def json_value(value: object) -> Fault:
    """Good JSON of any shape."""
    return status(200, {"Content-Type": "application/json"}, json.dumps(value).encode())


def endless_json() -> Fault:
    """An array that never ends."""
    body = Repeated(b'[{"type":"file","path":"a","size":1,"oid":"0"},', 1 << 62)
    return lambda *_: Reply(200, {"Content-Type": "application/json"}, body, manner=Manner(framing="chunked"))


def html() -> Fault:
    """A captive portal's page, with 200."""
    return status(200, {"Content-Type": "text/html"}, b"<html><body>Please sign in to the network</body></html>")


def headers(**changed: str) -> Fault:
    """The same answer with other headers; `Content_Range=…` sets Content-Range."""
    renamed = {name.replace("_", "-"): value for name, value in changed.items()}
    return lambda _, reply: replace(reply, headers={**reply.headers, **renamed})


def without(*names: str) -> Fault:
    """The same answer without these headers."""
    return lambda _, reply: replace(reply, headers={n: v for n, v in reply.headers.items() if n not in names})


# Other bytes


def corrupt(at: int) -> Fault:
    """The file's byte at that offset is wrong, in the one answer that has it."""

    def fault(_: Request, reply: Reply) -> Reply:
        if not 0 <= at - reply.offset < reply.body.size:
            return reply
        return replace(reply, body=Flipped(reply.body, at - reply.offset))

    return fault


def gzip_anyway() -> Fault:
    """Compressed, though nobody asked."""
    return lambda _, r: replace(r, headers={**r.headers, "Content-Encoding": "gzip"}, body=gzipped(r.body))


def content_length(length: int) -> Fault:
    """A Content-Length that is not the body's; the connection ends after the body."""

    def fault(_: Request, reply: Reply) -> Reply:
        manner = replace(reply.manner, after=reply.body.size, then="fin")
        return replace(reply, headers={**reply.headers, "Content-Length": str(length)}, manner=manner)

    return fault


def _of_range(change: Callable[[Reply], Reply]) -> Fault:
    return lambda _, reply: change(reply) if reply.status == 206 else reply


def whole() -> Fault:
    """200 with the whole file to a range request: RFC 9110 §14.2 lets a server ignore Range."""

    def change(reply: Reply) -> Reply:
        assert isinstance(reply.body, Slice)
        body = reply.body.whole
        kept = {name: value for name, value in reply.headers.items() if name != "Content-Range"}
        return Reply(200, kept, body, manner=reply.manner)

    return _of_range(change)


def other_range(first: int, last: int) -> Fault:
    """206 with another range than the one asked for, honestly labelled."""

    def change(reply: Reply) -> Reply:
        assert isinstance(reply.body, Slice)
        whole = reply.body.whole
        stated = {**reply.headers, "Content-Range": f"bytes {first}-{last}/{whole.size}"}
        return replace(reply, headers=stated, body=Slice(whole, first, last - first + 1), offset=first)

    return _of_range(change)


def mislabelled(content_range: str) -> Fault:
    """206 with the bytes asked for and another Content-Range."""
    return _of_range(lambda reply: replace(reply, headers={**reply.headers, "Content-Range": content_range}))


def truncated(by: int) -> Fault:
    """206 whose body, and whose Content-Length, is shorter than its Content-Range says."""
    return _of_range(lambda reply: replace(reply, body=Slice(reply.body, 0, max(0, reply.body.size - by))))


def empty() -> Fault:
    """206 with no bytes at all."""
    return _of_range(lambda reply: replace(reply, body=Bytes()))


def lengthened(by: int) -> Fault:
    """206 whose body, and whose Content-Length, is longer than its Content-Range says."""
    return _of_range(lambda reply: replace(reply, body=Bytes(reply.body.read(0, reply.body.size) + b"x" * by)))


# Combinations


def do(action: Callable[[], object]) -> Fault:
    """Act (push a commit, expire addresses …) just before the answer, already made, is sent."""

    def fault(_: Request, reply: Reply) -> Reply:
        action()
        return replace(reply)

    return fault


def both(*parts: Fault) -> Fault:
    """One fault after the other on the same answer."""

    def fault(request: Request, reply: Reply) -> Reply:
        for part in parts:
            reply = part(request, reply)
        return reply

    return fault
