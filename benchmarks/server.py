"""A server as a process: how long it takes to start, and how long it takes to answer."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from benchmarks.line import PATIENCE, Answer, Line, ServerFailure
from benchmarks.process import Command

ROOT = Path(__file__).parents[1]

_GREETING = "Listening on "


class Server:
    """A command that says `Listening on http://…` once it answers; it ends with the `with` block.

    Attributes:
        seconds: from its start to that line.
        url: where it answers.
        line: a connection to it.

    Raises:
        ServerFailure: it does not say so.
    """

    def __init__(self, command: Command) -> None:
        self._said = command.folder / "output.txt"
        begun = time.perf_counter()
        with self._said.open("wb") as said:
            # A group of its own: Ctrl-C is for the harness, which then ends it in order.
            self._process = subprocess.Popen(
                command.words,
                env=dict(command.environment),
                cwd=command.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                start_new_session=True,
            )
        try:
            self.url = self._first_line().removeprefix(_GREETING).strip()
            self.seconds = time.perf_counter() - begun
            self.line = Line(self.url)
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.__exit__()
        self._end()

    def milliseconds(self, request: bytes) -> float:
        """Until the answer was here, which has to be a good one."""
        begun = time.perf_counter()
        answer = self.line.ask(request)
        taken = time.perf_counter() - begun
        answer.content()
        return taken * 1000

    def _first_line(self) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        line = self._process.stdout.readline() if ready else ""
        if not line.startswith(_GREETING):
            raise ServerFailure(f"it did not start: {self._said.read_text(errors='replace')[-500:]}")
        return line

    def _end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def paced(line: Line, requests: Iterable[bytes], per_second: float) -> Iterator[tuple[float, Answer]]:
    """Ask as often as that, and wait for each answer: the seconds that it took, and the answer.

    An answer that comes so late that it holds up the next requests counts against them too, from when they were due.
    Else one stop of a second would be one slow answer, though everybody who asked in that second had to wait.
    """
    begun = time.perf_counter()
    for number, request in enumerate(requests):
        asked = due = begun + number / per_second
        if (early := due - time.perf_counter()) > 0:
            time.sleep(early)
            asked = time.perf_counter()  # that the clock woke us late is not the server's doing
        answer = line.ask(request)
        yield time.perf_counter() - asked, answer


def answers_per_second(url: str, paths: Iterable[str], seconds: float) -> float:
    """How many a server gives to one connection for each path, asked from another process."""
    words = [sys.executable, "-m", "benchmarks.load", url, str(seconds), *paths]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE + seconds, check=False)
    if ended.returncode:
        raise ServerFailure(ended.stderr.strip().rpartition("\n")[2])
    return float(ended.stdout)
