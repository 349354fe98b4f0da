"""Publishes six files over older ones, each time in a process that dies one step later: `python cut_off.py FOLDER`."""

import os
import sys
from pathlib import Path

from library.shelving import arrival, file_of
from mortal import Steps, dies_at_each_step
from windlass.library.arrivals import Arrival
from windlass.library.shelf import Shelf
from windlass.manifest import ManifestFile

NAMES = ("a.bin", "b.bin", "sub/c.bin", "sub/d.bin", "new/e.bin", "new/f.bin")
REPLACED = NAMES[:4]


def old_content(name: str) -> bytes:
    return b"old " + name.encode()


def new_content(name: str) -> bytes:
    return b"new " + name.encode()


def file_named(name: str) -> ManifestFile:
    return file_of(new_content(name), name)


def shelf_in(folder: Path) -> Shelf:
    return Shelf(folder, folder)


def publish(folder: Path, steps: Steps) -> None:
    """Old and new have the same size and come at the same time, so that a receipt of the one might pass for both."""
    shelf = shelf_in(folder)
    for name in REPLACED:
        shelf.publish([_arrival(shelf, name, old_content(name))])
    arrivals = [_arrival(shelf, name, new_content(name)) for name in NAMES]
    with folder.with_suffix(".old").open("w") as old:
        old.writelines(f"{path.stat().st_ino}\n" for path in folder.rglob("*") if "partial" not in path.parts)
    steps.begin()
    shelf.publish(arrivals)


def _arrival(shelf: Shelf, name: str, content: bytes) -> Arrival:
    whole = arrival(shelf, file_of(content, name), content)
    os.utime(whole.partial, ns=(1_760_000_001_500_000_000,) * 2)
    return whole


if __name__ == "__main__":
    dies_at_each_step(Path(sys.argv[1]), publish)
