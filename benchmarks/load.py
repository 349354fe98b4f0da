"""Asks a server as fast as it answers: `python -m benchmarks.load URL SECONDS PATH…` says how often a second.

A process of its own, for the one that measures must not wait for Python's lock. Each path has a connection, and each
connection one request under way.
"""

import selectors
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks.line import Line, ServerFailure, get


def main(arguments: Sequence[str]) -> int:
    """Ask, and print answers per second; 1 when one of them was not 200."""
    url, seconds, *paths = arguments
    try:
        sys.stdout.write(f"{answered(url, paths, float(seconds)):.1f}\n")
    except ServerFailure as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    return 0


def answered(url: str, paths: Sequence[str], seconds: float) -> float:
    """Answers per second."""
    with ExitStack() as opened:
        lines = [(opened.enter_context(Line(url)), get(path)) for path in paths]
        selector = opened.enter_context(selectors.DefaultSelector())
        for line, request in lines:
            selector.register(line, selectors.EVENT_READ, (line, request))
        begun, count = time.perf_counter(), 0
        for line, request in lines:
            line.send(request)
        while (passed := time.perf_counter() - begun) < seconds:
            count += _look(selector)
    return count / passed


def _look(selector: selectors.BaseSelector) -> int:
    """Take what answers have come, and ask again where one was whole."""
    count = 0
    for key, _ in selector.select(timeout=1.0):
        line, request = key.data
        answer = line.receive()
        if answer is None:
            continue
        if answer.status != 200:
            raise ServerFailure(f"HTTP {answer.status}: {answer.body[:200]!r}")
        line.send(request)
        count += 1
    return count


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
