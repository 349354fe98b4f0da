"""Signs of life: the kernel tells who is alive, however a process has ended."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import a_presence
from windlass.errors import StateInUse
from windlass.presence import Presence, server_of


class Other:
    """Another process that is present."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, a_presence.__file__, *arguments]
        environment = {"PYTHONPATH": ":".join(sys.path)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout
        self.said = self._process.stdout.readline().strip()
        self.pid = self._process.pid

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()

    def end(self) -> None:
        self._process.communicate()


Start = Callable[..., Other]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts processes on the same home; they are gone when the test is over."""

    @contextmanager
    def running(*arguments: str) -> Iterator[Other]:
        other = Other(str(tmp_path), *arguments)
        try:
            yield other
        finally:
            other.kill()

    with ExitStack() as processes:
        yield lambda *arguments: processes.enter_context(running(*arguments))


def locks(home: Path) -> set[str]:
    return {path.name for path in (home / "run").iterdir() if path.name != "place"}


def test_another_process_is_alive_until_it_ends(tmp_path: Path, start: Start) -> None:
    """While it runs, yes; when it has ended in good order, no, and nothing of it is left."""
    other = start()
    with Presence(tmp_path) as presence:
        assert presence.is_alive(other.said)
        assert presence.is_alive(other.said)
        other.end()
        assert not presence.is_alive(other.said)
        assert locks(tmp_path) == {f"{presence.name}.lock"}


def test_a_killed_process_is_not_alive(tmp_path: Path, start: Start) -> None:
    """At once after SIGKILL, without a time-out; the file that it could not remove is cleared away."""
    other = start()
    with Presence(tmp_path) as presence:
        other.kill()
        assert f"{other.said}.lock" in locks(tmp_path)
        assert not presence.is_alive(other.said)
        assert locks(tmp_path) == {f"{presence.name}.lock"}


def test_nobody_is_not_alive_and_oneself_is(tmp_path: Path) -> None:
    """A job without an owner has none; one's own lock is not touched by the question."""
    with Presence(tmp_path) as presence, Presence(tmp_path) as other:
        assert not presence.is_alive(None)
        assert not presence.is_alive(presence.name.partition("-")[0] + "-12345-cafecafe")
        assert presence.is_alive("abcdabcd-12345-cafecafe")  # of another home: nothing is known here
        assert presence.is_alive(presence.name)
        assert other.is_alive(presence.name)
    assert locks(tmp_path) == set()


def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    """Names come from the database, where another program may have written."""
    outside = tmp_path / "precious.lock"
    outside.write_text("keep")
    with Presence(tmp_path) as presence:
        assert not presence.is_alive(presence.name.partition("-")[0] + "-/../../precious")
    assert outside.read_text() == "keep"


def test_names_tell_presences_of_one_process_apart(tmp_path: Path) -> None:
    """Two in one process, and a process that gets the id of one that died, are not the same."""
    with Presence(tmp_path) as first, Presence(tmp_path) as second:
        assert first.name != second.name
        assert first.name.split("-")[1] == str(os.getpid())


def test_a_place_that_a_crash_left_empty_is_made_anew(tmp_path: Path) -> None:
    """Else all homes that it befell would be one, as far as names tell."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/place").touch()
    with Presence(tmp_path) as presence:
        assert len(presence.name.partition("-")[0]) == 8


def test_the_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    """Others have no business with the locks: with one they could keep a dead job from going on."""
    with Presence(tmp_path / "state") as presence:
        folder = tmp_path / "state/run"
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / f"{presence.name}.lock").stat().st_mode & 0o777 == 0o600


# The server


def test_a_second_server_is_refused_and_told_of_the_first(tmp_path: Path, start: Start) -> None:
    """The message names the process and the address, so that one can go there or end it."""
    first = start("http://127.0.0.1:1234")
    assert server_of(tmp_path) == {"pid": first.pid, "address": "http://127.0.0.1:1234"}
    with (
        Presence(tmp_path) as presence,
        pytest.raises(StateInUse, match=rf"process {first.pid}, at http://127\.0\.0\.1:1234\.") as caught,
    ):
        presence.serve("http://127.0.0.1:4321")
    assert caught.value.hint
    assert server_of(tmp_path) == {"pid": first.pid, "address": "http://127.0.0.1:1234"}
    assert start("http://127.0.0.1:1").said.startswith("refused: A server runs on this state already")


def test_after_a_killed_server_another_may_serve(tmp_path: Path, start: Start) -> None:
    """The lock went with the process, and what it had written is not believed any more."""
    start("http://127.0.0.1:1234/with/a/much/longer/address").kill()
    assert server_of(tmp_path) is None
    with Presence(tmp_path) as presence:
        presence.serve("http://[::1]:2")
        assert server_of(tmp_path) == {"pid": os.getpid(), "address": "http://[::1]:2"}
    assert server_of(tmp_path) is None


def test_where_nobody_has_been_there_is_no_server(tmp_path: Path) -> None:
    """Asking makes nothing."""
    assert server_of(tmp_path / "never") is None
    assert not (tmp_path / "never").exists()


def test_who_only_looks_does_not_keep_a_server_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`server_of` takes the lock for a moment; a `serve` in that moment tries again instead of giving up."""
    taken = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    with Presence(tmp_path) as presence:
        os.close(taken)
        taken = os.open(tmp_path / "run/server.lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(taken, fcntl.LOCK_SH)

        def look_and_let_go(_: Path) -> None:
            fcntl.flock(taken, fcntl.LOCK_UN)

        monkeypatch.setattr("windlass.presence.server_of", look_and_let_go)
        presence.serve("http://127.0.0.1:9")
    os.close(taken)


def test_who_looks_is_not_taken_for_the_one_who_is_gone(tmp_path: Path, start: Start) -> None:
    """While another one looks at a dead server, or at a dead process, both are as dead as before."""
    dead = start("http://127.0.0.1:1234")
    dead.kill()
    with ExitStack() as looking, Presence(tmp_path) as presence:
        for name in ("server", dead.said):
            file = looking.enter_context((tmp_path / f"run/{name}.lock").open())
            fcntl.flock(file, fcntl.LOCK_SH)
        assert server_of(tmp_path) is None
        presence.be_the_only_server()
        assert not presence.is_alive(dead.said)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_a_server_that_says_nothing_sensible_is_still_one(tmp_path: Path, content: bytes) -> None:
    """Its lock counts; what it is like is not known."""
    with Presence(tmp_path) as presence:
        presence.serve("http://127.0.0.1:9")
        (tmp_path / "run/server.lock").write_bytes(content)
        assert server_of(tmp_path) == {}
        with Presence(tmp_path) as second, pytest.raises(StateInUse):
            second.serve("http://127.0.0.1:8")
