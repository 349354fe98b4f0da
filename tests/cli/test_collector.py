"""The garbage collector is held off while a command starts, and at work where it may take hours."""

import gc
from collections.abc import Iterator

import pytest

from windlass.cli.collector import carry_on, held_off


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    assert gc.isenabled()
    yield
    gc.enable()
    gc.unfreeze()


def test_nothing_is_collected_within() -> None:
    """And what was made is left alone at the end, for the process ends with it."""
    frozen = gc.get_freeze_count()
    with held_off():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > frozen


def test_an_error_does_not_keep_it_off() -> None:
    """Whoever goes on after it has a collector."""
    with pytest.raises(ZeroDivisionError), held_off():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_what_takes_long_carries_on() -> None:
    """From there on; what was there is passed over, what comes later is collected, and once is enough."""
    with held_off():
        carry_on()
        assert gc.isenabled()
        frozen = gc.get_freeze_count()
        carry_on()
    assert gc.get_freeze_count() <= frozen
