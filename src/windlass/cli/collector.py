"""The garbage collector's part in how long a command takes: nearly all that a start makes stays until the end."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_off() -> Iterator[None]:
    """Collect nothing within, and at the process's end nothing of it either: a fifth of a short command's time."""
    gc.disable()
    try:
        yield
    finally:
        carry_on()


def carry_on() -> None:
    """Collect again, for what comes now may take hours; what is there already is left alone for good."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
