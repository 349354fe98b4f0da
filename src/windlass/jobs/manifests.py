"""The manifests that were read of late: a look at a job parses its manifest once, not each time."""

import threading
from collections import OrderedDict

from windlass.manifest import Manifest

MOST = 32 * 1024 * 1024  # characters of JSON, which make two to three times as many bytes of objects

Key = tuple[str, int | None]
"""A job's id, and the number of the move that brought the manifest: another one comes by another move."""


class Manifests:
    """Keeps those last used, up to `most` characters of JSON; the newest in any case. Threads may share it."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._size = 0
        self._kept: OrderedDict[Key, tuple[Manifest, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Manifest | None:
        """The manifest, if it is kept."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def keep(self, key: Key, manifest: Manifest, size: int) -> None:
        """Keep a manifest, whose JSON has `size` characters."""
        with self._lock:
            _, before = self._kept.pop(key, (None, 0))
            self._kept[key] = manifest, size
            self._size += size - before
            while self._size > self._most and len(self._kept) > 1:
                _, (_, gone) = self._kept.popitem(last=False)
                self._size -= gone
