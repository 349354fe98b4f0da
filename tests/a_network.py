"""A network that is a dict: what each file holds, and what to do before a request is answered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from windlass.transfer.network import Head, Receiver, Request


@dataclass
class Answers:
    """Contents by the end of the address. `watch` is called with every request, before its answer."""

    contents: Mapping[str, bytes]
    watch: Callable[[Request], None] = lambda request: None
    asked: list[str] = field(default_factory=list)
    closed: bool = False

    async def __call__(self, request: Request, receiver: Receiver) -> None:
        self.asked.append(request.url)
        self.watch(request)
        content = next(content for end, content in self.contents.items() if request.url.endswith(end))
        last = len(content) - 1 if request.last is None else request.last
        size = f"bytes {request.first}-{last}/{len(content)}"
        receiver.head(Head(206, {"content-range": size, "content-length": str(last + 1 - request.first)}))
        receiver.body(content[request.first : last + 1])

    def close(self) -> None:
        self.closed = True
