"""Where the jobs are kept, as far as that can be told without opening it."""

from pathlib import Path

_FILE = "sqlite:///"


def has_database(url: str) -> bool:
    """Whether there is a database at this address; one that is not a file of this machine is taken to be there."""
    return not url.startswith(_FILE) or Path(url.removeprefix(_FILE)).exists()
