"""The least that can answer: what `windlass serve` would reach if it had nothing to do for an answer.

On the same uvicorn with the same settings, so that the ratio is Windlass's own part. Its answer is as long as a status.
"""

from typing import Any

from windlass.listening import Listening

_BODY = b'{"job_id":"%s"}' % (b"x" * 600)
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))],
}


async def answer(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    """Answer whatever was asked."""
    if scope["type"] == "http":
        await send(_START)
        await send({"type": "http.response.body", "body": _BODY})


if __name__ == "__main__":
    with Listening(answer) as listening:
        listening.until_ended()
