"""Where the jobs are kept, as far as that can be told without opening it."""

from pathlib import Path

_FILE, _MEMORY = "sqlite:///", ":memory:"


def has_database(url: str) -> bool:
    """Whether there is a database at this address; one that is not a file of this machine is taken to be there."""
    path = url.removeprefix(_FILE)
    return path in (url, _MEMORY) or Path(path.partition("?")[0]).exists()
