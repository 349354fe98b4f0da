"""Fixtures that every room's tests may ask for."""

import threading
from collections.abc import Iterator

import pytest

import a_postgres
from a_postgres import Postgres
from real.fixtures import olah_server, real_hub, real_repositories
from standin import Hub

__all__ = ["hub", "olah_server", "real_hub", "real_repositories"]


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test() -> Iterator[None]:
    """What is told to end ends: else it writes into the next test's log, and meets it in the interpreter.

    (Two threads that parse at once, which is what formatting a traceback does, break one another in Python 3.11.)
    """
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and t.name.startswith("windlass-")]
    for thread in left:
        thread.join(timeout=20)
    assert not [thread.name for thread in left if thread.is_alive()]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, one for all tests of this process."""
    with a_postgres.running() as postgres:
        if postgres is None:
            pytest.skip("PostgreSQL is not installed: apt install postgresql")
        yield postgres


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A stand-in hub, CDN and catalog, empty and well-behaved (see tests/standin/hub.py)."""
    with Hub() as hub:
        yield hub
