"""Which processes are alive, told by the kernel: each holds a lock on a file of its own, which ends with it.

A job's owner is such a process. No heartbeat, no time-out: a lock is gone the moment its process is, however it ended,
and the next one may go on with the job at once. (Machines that share a database have no kernel in common.)
"""

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import Any, Self

from windlass import atomic
from windlass.errors import StateFailure, StateInUse


class Presence:
    """This process's own sign of life below `<home>/run`, and a look at the others'."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "run"
        self._place = _place(self._folder)
        self.name = f"{self._place}-{os.getpid()}-{secrets.token_hex(4)}"
        self._files = [_lock(self._folder / f"{self.name}.lock")]

    def is_alive(self, name: str | None) -> bool:
        """Whether the process of this name still runs; the sign of one that does not is cleared away.

        Of one that belongs to another home (on the same database) nothing is known here: it counts as alive.
        """
        if name is None or name == self.name:
            return name == self.name
        if not name.startswith(f"{self._place}-"):
            return True
        path = self._folder / f"{Path(name).name}.lock"
        return path.exists() and not _clear_if_free(path)

    def is_alone(self) -> bool:
        """Whether no other process runs jobs of this home."""
        others = {path.stem for path in self._folder.glob(f"{self._place}-*.lock")} - {self.name}
        return not any(self.is_alive(name) for name in others)

    def serve(self, address: str) -> None:
        """Be the server of this state.

        Raises:
            StateInUse: another one is; the message names its process and address.
        """
        held = None
        while held is None:
            held = self._lock_server()
        self._files.append(held)
        _write(held, {"pid": os.getpid(), "address": address})

    def be_the_only_server(self) -> None:
        """Raises StateInUse where another one is the server of this state."""
        if other := server_of(self._folder.parent):
            raise _in_use(other)

    def _lock_server(self) -> int | None:
        """The lock; None where somebody who only looked whether there is a server had it for that moment."""
        try:
            return _lock(self._folder / "server.lock")
        except BlockingIOError:
            other = server_of(self._folder.parent)
        if other is None:
            return None
        raise _in_use(other)

    def close(self) -> None:
        """Be gone."""
        for fd in self._files:
            os.close(fd)
        self._files.clear()
        (self._folder / f"{self.name}.lock").unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _in_use(server: dict[str, Any]) -> StateInUse:
    return StateInUse(
        f"A server runs on this state already: process {server.get('pid')}, at {server.get('address')}.",
        hint="Use that one, end it, or set WINDLASS_HOME to another folder.",
    )


def server_of(home: Path) -> dict[str, Any] | None:
    """The `pid` and `address` of the server that runs on this state, None if none does."""
    path = home / "run" / "server.lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _read(fd) if _is_held(fd) else None
    finally:
        os.close(fd)


def _place(folder: Path) -> str:
    """What this home is called, made once.

    Raises:
        StateFailure: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return atomic.keep(folder / "place", secrets.token_hex(4))
    except OSError as error:
        hint = "Set WINDLASS_HOME to a folder that can be written to."
        raise StateFailure(f"{folder} cannot be used: {error.strerror}.", hint=hint) from error


def _lock(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise
    return fd


def _is_held(fd: int) -> bool:
    """Whether somebody lives by this lock. It is taken shared: two that look at once would else see each other."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _clear_if_free(path: Path) -> bool:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if _is_held(fd):
            return False
    finally:
        os.close(fd)
    path.unlink(missing_ok=True)
    return True


def _write(fd: int, value: dict[str, Any]) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, json.dumps(value).encode(), 0)


def _read(fd: int) -> dict[str, Any]:
    try:
        value = json.loads(os.pread(fd, 4096, 0))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
