"""Fixtures that every room's tests may ask for."""

from collections.abc import Iterator

import pytest

import a_postgres
from a_postgres import Postgres
from real.fixtures import olah_server, real_hub, real_repositories
from standin import Hub

__all__ = ["hub", "olah_server", "real_hub", "real_repositories"]


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
