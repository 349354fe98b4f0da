"""A PostgreSQL server of the tests' own, on loopback: Debian's, or whichever is in the PATH."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

_DEBIAN = Path("/usr/lib/postgresql")


def _folder() -> Path | None:
    """Where its programs are: Debian has them beside the PATH, a folder a version."""
    found = shutil.which("postgres")
    kept = sorted(_DEBIAN.glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    return Path(found).parent if found else kept[-1].parent if kept else None


class Postgres:
    """A running server. Each test gets a schema of its own, which is as good as a database and quicker made."""

    def __init__(self, programs: Path, data: Path) -> None:
        self._programs = programs
        self._data = data
        self._schemas = 0
        self.port = _free_port()

    def url(self) -> str:
        """The address of a database that nobody has used yet."""
        self._schemas += 1
        engine = sa.create_engine(f"postgresql+psycopg://windlass@127.0.0.1:{self.port}/postgres")
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA test_{self._schemas}")
        engine.dispose()
        place = f"windlass@127.0.0.1:{self.port}/postgres"
        return f"postgresql://{place}?options=-csearch_path%3Dtest_{self._schemas}"

    def make(self) -> None:
        self._run("initdb", "--no-sync", "--auth=trust", "--username=windlass", "--encoding=UTF8", "--locale=C")

    def start(self) -> None:
        """Return when it answers. What a power cut would take from it is nobody's here, so it does not flush."""
        options = f"-c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "--wait", "--silent", f"--log={self._data}/log", f"--options={options}", "start")

    def stop(self) -> None:
        """At once, with all that are connected."""
        self._run("pg_ctl", "--wait", "--silent", "--mode=immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        """As another user where we are root, which it refuses to run as."""
        who = "postgres" if os.geteuid() == 0 else None
        command = [str(self._programs / program), f"--pgdata={self._data}", *arguments]
        null = subprocess.DEVNULL  # not a pipe, which the daemon would hold open
        done = subprocess.run(command, cwd=self._data, stdin=null, stdout=null, check=False, user=who, group=who)
        assert done.returncode == 0, f"{program} failed; see {self._data}/log"


@contextmanager
def running() -> Iterator[Postgres | None]:
    """A server for as long as the block lasts; None where there is none on this machine."""
    programs = _folder()
    if programs is None:
        yield None
        return
    data = Path(tempfile.mkdtemp(prefix="windlass-postgres-"))  # pytest's own folders are closed to other users
    if os.geteuid() == 0:
        shutil.chown(data, "postgres", "postgres")
    postgres = Postgres(programs, data)
    postgres.make()
    postgres.start()
    try:
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(data)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
