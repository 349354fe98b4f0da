"""A look at a database that must not change by it: whether it can be read, and by which program."""

from windlass.jobs.engine import check, open_engine, reader_of
from windlass.jobs.migrate import refuse_newer, version
from windlass.jobs.schema import HEAD


def is_current(url: str) -> bool:
    """Whether a database that is there is of this program's schema; an older one is not brought up to date by this.

    Raises:
        InvalidRequest: the address is none that can be used.
        StateFailure, DatabaseUnreadable: it cannot be read.
        DatabaseTooNew: a newer program has been here.
    """
    engine = open_engine(url)
    try:
        with reader_of(engine).connect() as connection:
            check(connection)
            refuse_newer(connection)
            return version(connection) == HEAD
    finally:
        engine.dispose()
