"""The two databases: on disk before anybody is told, what cannot be used is told, and what a server does."""

import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from a_postgres import Postgres
from jobs.conftest import Clock
from jobs.races import race
from sample import numbered
from windlass.errors import DatabaseUnreadable, InvalidRequest, StateFailure
from windlass.jobs.states import START, State
from windlass.jobs.store import Store

in_a_file = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
on_a_server = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


# On disk


def test_what_was_answered_for_outlives_a_kill(url: str) -> None:
    """A process that is killed right after its verbs returned: all of them are found again."""
    [printed] = race("die", url, processes=1)
    with Store(url, Clock()) as store:
        job = store.get(printed.strip())
    assert (job.state, job.owner, job.downloaded) == (State.RUNNING, "racer", 5)


@in_a_file
def test_readers_do_not_wait_for_a_writer(store: Store, url: str) -> None:
    """Write-ahead logging, and every commit flushed: read from the connections themselves."""
    store.add(numbered(1))
    writer = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        assert len(store.jobs()) == 1
        assert store.open_job(numbered(1).key)
    finally:
        writer.rollback()
        writer.close()
    with store._engine.connect() as connection:
        modes = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert modes == ["wal", 2]


@in_a_file
def test_the_folder_of_the_database_is_made_for_its_owner_only(url: str, store: Store) -> None:
    """Which models somebody fetches is nobody else's business."""
    store.add(numbered(1))
    assert Path(url.removeprefix("sqlite:///")).parent.stat().st_mode & 0o777 == 0o700


# What cannot be used


@pytest.mark.parametrize("url", ["nonsense", "oracle9://x", "sqlite+nothing:///x"])
def test_an_address_that_is_none_is_told_with_the_setting(url: str) -> None:
    """Whoever set it learns which setting it was."""
    with pytest.raises(InvalidRequest, match="WINDLASS_DATABASE_URL"):
        Store(url, Clock())


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    """No traceback of another library, and the file is left as it is."""
    path = tmp_path / "windlass.db"
    path.write_bytes(b"this was something else, and it is long enough to be looked at" * 100)
    before = path.read_bytes()
    with pytest.raises(DatabaseUnreadable, match="not a database") as caught:
        Store(f"sqlite:///{path}", Clock())
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert path.read_bytes() == before


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    """When it is opened, though the damage is where nothing is looked for yet; and by any verb that meets it later."""
    path = tmp_path / "windlass.db"
    url = f"sqlite:///{path}"
    with Store(url, Clock()) as store:
        for number in range(300):
            store.add(numbered(number))
    with Store(url, Clock()) as store:
        store.close()  # else it remembers what it has read
        with path.open("r+b") as file:
            file.seek(2 * 4096)
            file.write(b"\xff" * 4096 * 20)
        with pytest.raises(DatabaseUnreadable, match="malformed") as caught:
            store.jobs()
        assert caught.value.code == "database_unreadable"
    with pytest.raises(DatabaseUnreadable) as caught:
        Store(url, Clock())
    assert str(path) in caught.value.message


@pytest.mark.parametrize("lost", [4097, 20_000])
def test_a_file_that_was_cut_off_is_told(tmp_path: Path, lost: int) -> None:
    """When it is opened."""
    path = tmp_path / "windlass.db"
    url = f"sqlite:///{path}"
    with Store(url, Clock()) as store:
        for number in range(50):
            store.add(numbered(number))
    os.truncate(path, path.stat().st_size - lost)
    with pytest.raises(DatabaseUnreadable):
        Store(url, Clock())


@pytest.mark.parametrize("text", ["{}", "[]", "7", '{"files": 3}', '{"id": "own'])
def test_a_job_that_makes_no_sense_is_told(store: Store, url: str, text: str) -> None:
    """By name, when it is opened or read: a page may be whole whose text is not."""
    job = store.add(numbered(1))
    with store._engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE jobs SET manifest = '{text}'")
    with pytest.raises(DatabaseUnreadable, match=job.id), Store(url, Clock()) as other:
        other.jobs()


def test_a_place_where_no_folder_can_be_made_is_told(tmp_path: Path) -> None:
    """A file stands in the way of the folder, and a folder in the way of the file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StateFailure, match="cannot be made"):
        Store(f"sqlite:///{tmp_path}/file/windlass.db", Clock())
    with pytest.raises(StateFailure, match="cannot be used"):
        Store(f"sqlite:///{tmp_path}", Clock())


def test_a_database_that_fails_later_is_told(store: Store) -> None:
    """Any verb: the database's error becomes ours, with what to do."""
    with store._engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs RENAME TO lost")
    for verb in (lambda: store.add(numbered(1)), store.jobs, lambda: store.progress("x", 1)):
        with pytest.raises(StateFailure, match=r"no such table|does not exist") as caught:
            verb()
        assert caught.value.code == "state_error"
        assert caught.value.hint


def test_the_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Whatever the folder's mode was before: the file is 0600."""
    Store(f"sqlite:///{tmp_path / 'jobs.db'}", lambda: 0.0).close()
    assert (tmp_path / "jobs.db").stat().st_mode & 0o777 == 0o600


# A database on a server


@on_a_server
def test_a_server_that_goes_is_told_and_found_again(store: Store, postgres: Postgres) -> None:
    """While it is gone each verb says so; when it is back, so are the jobs, and nothing needs to be started anew."""
    job = store.add(numbered(1))
    postgres.stop()
    try:
        for verb in (lambda: store.get(job.id), store.jobs, lambda: store.move(job.id, START)):
            with pytest.raises(StateFailure, match="cannot be used"):
                verb()
    finally:
        postgres.start()
    assert store.get(job.id) == job


@on_a_server
def test_a_server_that_is_not_there_is_told_without_its_password(url: str) -> None:
    """Neither the address that is shown nor what the driver says of it has it."""
    absent = url.replace("windlass@", "windlass:hushhush@").replace("/postgres?", "/nothing-here?")
    with pytest.raises(StateFailure, match="nothing-here") as caught:
        Store(absent, Clock())
    assert "hushhush" not in str(caught.value)


@on_a_server
def test_moves_come_into_sight_in_the_order_of_their_numbers(store: Store, url: str, clock: Clock) -> None:
    """A move that began earlier and is not committed holds up later ones, so that nobody who counts on misses it."""
    jobs = [store.add(numbered(number)) for number in range(2)]
    begun, finish = threading.Event(), threading.Event()

    def hesitate(_: object) -> None:
        begun.set()
        assert finish.wait(30)

    with Store(url, clock) as slow, ThreadPoolExecutor(2) as threads:
        sa.event.listen(slow._engine, "commit", hesitate)
        first = threads.submit(slow.move, jobs[0].id, START)
        assert begun.wait(30)
        second = threads.submit(store.move, jobs[1].id, START)
        seen = store.last_move()
        assert not second.done()
        finish.set()
        first.result(30)
        second.result(30)
    assert store.moved_since(seen) == [jobs[0].id, jobs[1].id]
