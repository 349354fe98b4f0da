"""Windlass as a process of its own, without the half second of imports that each start takes.

One process has all of Windlass loaded and forks for each command (multiprocessing's fork server). What comes of it is
what a shell would start: a process with its environment, its streams, its exit code, to be killed and stopped. More
than a third of the time of the tests from outside went into imports before. What is about the start or the end of the
interpreter itself (`Home.real`, the docs' commands, the installed package) still takes the real one.
"""

import multiprocessing
import os
import pkgutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.reduction import DupFd
from typing import Any

import windlass

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        module.name
        for module in pkgutil.walk_packages(windlass.__path__, "windlass.")
        # The demo's models bring numpy, which starts threads; a fork has none of them.
        if not module.name.endswith((".__main__", ".demo_models"))
    ]
)


class Fork:
    """A command of Windlass that runs: the part of `subprocess.Popen` that tests use.

    Args:
        arguments: after `windlass`.
        environment: all that the process sees of it.
        out: a file descriptor for its stdout.
        err: a file descriptor for its stderr.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], out: int, err: int) -> None:
        _have_a_server()
        streams = _Descriptor(out), _Descriptor(err)
        self._process = _CONTEXT.Process(target=_windlass, args=(list(arguments), dict(environment), *streams))
        self._process.start()
        assert self._process.pid
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit code, the negative of a signal's number; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """The exit code, once it has ended."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("windlass", timeout)
        return code

    def send_signal(self, number: int) -> None:
        """What `kill` does."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()


class _Descriptor:
    """A file descriptor as an argument of the process; there it is a number of its own."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _taken, (DupFd(self._number),)


def _taken(sent: Any) -> int:
    number: int = sent.detach()
    return number


def _have_a_server() -> None:
    """Start it with nothing of coverage's in its environment: what is seen from outside counts for no room."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    for name in kept:
        del os.environ[name]
    try:
        forkserver.ensure_running()
    finally:
        os.environ.update(kept)


def _windlass(arguments: list[str], environment: dict[str, str], out: int, err: int) -> None:
    """What the new process does."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    for sent, stream in ((out, 1), (err, 2)):
        os.dup2(sent, stream)
        os.close(sent)
    sys.argv = ["windlass", *arguments]
    from windlass.cli.main import main

    main()
