"""Processes that begin at the same moment."""

import subprocess
import sys

from jobs import racer


def race(verb: str, url: str, argument: str = "0", processes: int = 2) -> list[str]:
    """Run processes that begin at the same moment; what each printed."""
    command = [sys.executable, racer.__file__, verb, url, argument]
    path = {"PYTHONPATH": ":".join(sys.path)}
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=path)
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    return [process.communicate("go\n")[0] for process in started]
