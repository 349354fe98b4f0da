"""Fixtures that every room's tests may ask for."""

from collections.abc import Iterator

import pytest

from standin import Hub


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A stand-in hub, CDN and catalog, empty and well-behaved (see tests/standin/hub.py)."""
    with Hub() as hub:
        yield hub
