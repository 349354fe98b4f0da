"""Windlass as others meet it: a process, an address, a folder. Nothing here calls Windlass's own code."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from e2e.forks import Fork

POLL = 0.05
PATIENCE = 60.0

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a request got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Json:
        detail: Json = self.json["error"]
        return detail


def eventually(holds: Callable[[], object]) -> None:
    """Look until it holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(POLL)


@dataclass
class Home:
    """A person's machine: folders of its own, the environment that a process of Windlass gets, and how it is called.

    Without a `command` a process that has it loaded forks for each call.
    """

    root: Path
    hub: str
    more: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()

    @property
    def real(self) -> "Home":
        """The same, with the command as a person starts it, imports and all."""
        return replace(self, command=(sys.executable, "-m", "windlass"))

    @property
    def models(self) -> Path:
        return self.root / "lmstudio" / "models"

    @property
    def catalog(self) -> Path:
        return self.root / "lmstudio" / "hub" / "models"

    @property
    def environment(self) -> dict[str, str]:
        # Nothing of coverage's: what is seen from outside counts for no room, and each process would start later.
        kept = ("PATH", "HOME", "LANG", "LD_", "SSL_CERT_FILE")
        own = {name: value for name, value in os.environ.items() if name.startswith(kept)}
        return {
            **own,
            "WINDLASS_HOME": str(self.root / "state"),
            "WINDLASS_LMSTUDIO_HOME": str(self.root / "lmstudio"),
            "WINDLASS_HF_ENDPOINT": self.hub,
            "WINDLASS_CATALOG_URL": self.hub,
            "WINDLASS_MIN_FREE": "0",
            "WINDLASS_PORT": "0",
            "WINDLASS_URL": "http://127.0.0.1:9",  # discard: nobody answers there
            "HF_HOME": str(self.root / "hf"),
            **self.more,
        }

    def start(
        self, arguments: Sequence[str], out: IO[Any] | int, err: IO[Any], **more: str
    ) -> "Fork | subprocess.Popen[bytes]":
        """A command of Windlass, under way."""
        environment = {**self.environment, **more}
        if self.command:
            return subprocess.Popen([*self.command, *arguments], env=environment, stdout=out, stderr=err)
        return Fork(arguments, environment, out if isinstance(out, int) else out.fileno(), err.fileno())

    def run(self, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        """A command of Windlass, run to its end."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            code = self.start(arguments, out, err, **more).wait(PATIENCE)
            said = (_read(stream).decode() for stream in (out, err))
            return subprocess.CompletedProcess(arguments, code, *said)

    def files(self) -> dict[str, bytes]:
        """Every file below the models folder that is not Windlass's own, by path."""
        return {path: (self.models / path).read_bytes() for path in self.visible()}

    def visible(self) -> set[str]:
        """The names that anybody who looks into the models folder sees."""
        names = set()
        for folder, folders, files in os.walk(self.models):
            folders[:] = [name for name in folders if name != ".windlass"]
            names |= {str((Path(folder) / name).relative_to(self.models)) for name in files}
        return names


class Server:
    """`windlass serve` as a process."""

    def __init__(self, home: Home, *arguments: str) -> None:
        self._home = home
        self._arguments = arguments
        self.process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end()

    def _start(self) -> "Fork | subprocess.Popen[bytes]":
        reading, writing = os.pipe()
        with self.log.open("ab") as log:  # not a pipe, which nobody reads while it runs, and which fills up
            process = self._home.start(["serve", *self._arguments], writing, log)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as out:
            line = out.readline()
        if not line.startswith("Listening on http://"):
            process.wait(PATIENCE)
            raise AssertionError(f"windlass serve did not start: {self.said}")
        self.url = line.removeprefix("Listening on ").strip()
        return process

    @property
    def log(self) -> Path:
        """The file that takes what it says on stderr."""
        return self._home.root / "serve.log"

    @property
    def said(self) -> str:
        """What it has said on stderr so far."""
        return self.log.read_text(encoding="utf-8")

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def restart(self) -> None:
        """Start it again on the same state, after it ended one way or the other."""
        self.__exit__()
        self.process = self._start()

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """One request; whatever the status, its answer."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data is not None else {}
        request = Request(self.url + path, data=data, method=method, headers={**kind, **(headers or {})})
        try:
            with urlopen(request, timeout=PATIENCE) as response:
                return Answer(response.status, dict(response.headers), response.read())
        except HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def download(self, model: str, quantization: str | None = None) -> Json:
        """POST a download that must be accepted."""
        body = {"model": model} | ({"quantization": quantization} if quantization else {})
        answer = self.ask("POST", "/api/v1/models/download", body)
        assert answer.status == 200, answer.body
        job: Json = answer.json
        return job

    def status(self, job_id: str) -> Json:
        """The job as LM Studio's clients see it."""
        answer = self.ask("GET", f"/api/v1/models/download/status/{job_id}")
        assert answer.status == 200, answer.body
        job: Json = answer.json
        return job

    def until(self, job_id: str, holds: Callable[[Json], bool]) -> Json:
        """Poll, as clients do, until something holds of the job."""
        end = time.monotonic() + PATIENCE
        while not holds(job := self.status(job_id)):
            assert time.monotonic() < end, f"still {job}"
            time.sleep(POLL)
        return job

    def finished(self, job_id: str) -> Json:
        """The job once it is over."""
        return self.until(job_id, lambda job: job["status"] in ("completed", "failed"))


def _read(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
