"""The jobs on disk are opened here, and what can be mended on the way is."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress

from windlass.errors import DatabaseUnreadable, StateFailure, StateInUse
from windlass.jobs.database import alone_in, file_of, set_aside
from windlass.jobs.store import Store
from windlass.presence import Presence
from windlass.space import Reserve

_log = logging.getLogger(__name__)


def open_store(url: str, clock: Callable[[], float], reserve: Reserve, presence: Callable[[], Presence]) -> Store:
    """The jobs at an address.

    A database that cannot be read is set aside, never overwritten: what can be saved of it is for its owner to save.
    Models are found without it, and a download that was under way goes on when it is asked for again.

    Raises:
        StateFailure: it cannot be opened, or others still work with what cannot be read.
    """
    try:
        return Store(url, clock)
    except DatabaseUnreadable as error:
        return _begin_anew(url, clock, error, presence())
    except StateFailure:
        if not reserve.give_up():  # that is what it is kept for: a full disk takes not even a look
            raise
        return Store(url, clock)


def _begin_anew(url: str, clock: Callable[[], float], error: DatabaseUnreadable, presence: Presence) -> Store:
    path = file_of(url)
    if path is None:
        raise error
    if not presence.is_alone():  # they have it open, and would go on to write into what nobody reads any more
        raise StateInUse(f"{error.message} Other processes of Windlass use it.", hint="End them, then try again.")
    try:
        with alone_in(path.parent):
            with suppress(DatabaseUnreadable):
                return Store(url, clock)  # somebody else was faster
            aside = set_aside(path, time.strftime("unreadable-%Y%m%d-%H%M%S"))
            _log.error("%s It is now %s, and the jobs begin anew. Models are found without it.", error.message, aside)
    except OSError as failure:
        raise DatabaseUnreadable(f"{error.message} It cannot be set aside: {failure}.", hint=error.hint) from failure
    return Store(url, clock)
