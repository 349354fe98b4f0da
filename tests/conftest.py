"""Fixtures that every room's tests may ask for."""

from collections.abc import Iterator

import pytest

from real.fixtures import olah_server, real_hub, real_repositories
from standin import Hub

__all__ = ["hub", "olah_server", "real_hub", "real_repositories"]


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A stand-in hub, CDN and catalog, empty and well-behaved (see tests/standin/hub.py)."""
    with Hub() as hub:
        yield hub
