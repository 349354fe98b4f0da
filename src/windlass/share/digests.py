"""What files hash to, computed once per state of a file, on threads, and remembered on disk."""

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from windlass import atomic, words
from windlass.share.folder import Found, Stamp

LARGE = 10_000_000  # from this size up, git-lfs keeps a file on the real hub
WEIGHTS = (".gguf", ".safetensors", ".bin", ".pt", ".pth", ".onnx", ".model", ".h5", ".msgpack", ".ot", ".npz", ".ckpt")
_BLOCK = 1 << 20
_THREADS = 2  # two keep an NVMe disk busy, and leave the machine to its owner

log = logging.getLogger(__name__)


class StillHashing(Exception):
    """The digests are not there yet; `files` is how many are missing."""

    def __init__(self, files: int) -> None:
        super().__init__(f"{files} files are still being hashed")
        self.files = files


class Changing(Exception):
    """The file was written to, or went away, or the server ended, while it was hashed."""


def is_large(path: str, size: int) -> bool:
    """Whether the hub would keep this file in LFS: by size, or because it holds weights whatever its size."""
    return size >= LARGE or path.lower().endswith(WEIGHTS)


def compute(found: Found, stop: threading.Event) -> str:
    """The sha256 of a large file, the git blob sha1 of another, in hex.

    Raises:
        Changing: the file is not what it was when it was found.
    """
    large = is_large(found.path, found.stamp.size)
    digest = hashlib.sha256() if large else hashlib.sha1(b"blob %d\0" % found.stamp.size, usedforsecurity=False)
    file = found.open()
    if file is None:
        raise Changing(found.path)
    with file:
        while block := file.read(_BLOCK):
            digest.update(block)
            # Asked at every block: a file that somebody writes for an hour is not read to its end again and again.
            if stop.is_set() or Stamp.of(os.fstat(file.fileno())) != found.stamp:
                raise Changing(found.path)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Key:
    """One state of one file. Not the inode: a folder that was copied or restored keeps its digests."""

    place: str
    size: int
    mtime_ns: int
    large: bool

    @classmethod
    def of(cls, found: Found) -> "Key":
        """The state in which a file was found."""
        stamp = found.stamp
        return cls(str(found.real), stamp.size, stamp.mtime_ns, is_large(found.path, stamp.size))


class Digests:
    """The digests of a folder's files. Safe to use from many threads.

    Args:
        cache: the JSON file that keeps them from one run to the next.
        computed: how one file is hashed; a test hands in its own.
    """

    def __init__(self, cache: Path, computed: Callable[[Found, threading.Event], str] = compute) -> None:
        self._cache = cache
        self._computed = computed
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="windlass-hash")
        self._known = _read(cache)
        self._running: dict[Key, Future[str]] = {}
        self._unsaved = False

    def close(self) -> None:
        """Give up what is being computed, and fail what was not begun.

        Not with `cancel_futures`: who waits for a future that is cancelled in the queue is never woken.
        """
        self._stop.set()
        self._pool.shutdown(wait=True)

    def of(self, files: list[Found], patience: float | None = None) -> dict[str, str]:
        """The digests by path. A file that changes meanwhile is left out: it is not whole yet.

        Args:
            files: what to hash.
            patience: seconds to wait; None waits until all is done.

        Raises:
            StillHashing: patience ran out; the work goes on, so ask again.
        """
        running = {found.path: self._start(found) for found in files}
        late = wait_for(running.values(), patience).not_done
        if self._unsaved:
            self._save()
        if late:
            raise StillHashing(len(late))
        return {path: future.result() for path, future in running.items() if _succeeded(future)}

    def _start(self, found: Found) -> Future[str]:
        """The digest that is known, or the computation under way, or a new one: one for each state of a file."""
        key = Key.of(found)
        with self._lock:
            if key in self._known:
                return _finished(self._known[key])
            if key not in self._running:
                self._running[key] = self._pool.submit(self._learn, key, found)
            return self._running[key]

    def _learn(self, key: Key, found: Found) -> str:
        try:
            if self._stop.is_set():
                raise Changing(found.path)
            if found.stamp.size >= LARGE:
                log.info("Hashing %s (%s)", found.real, words.size(found.stamp.size))
            digest = self._computed(found, self._stop)
            with self._lock:
                self._known[key] = digest
                self._unsaved = True
        except OSError as error:
            log.warning("%s cannot be read and is not served: %s", found.real, error)
            raise
        else:
            return digest
        finally:
            with self._lock:
                self._running.pop(key, None)

    def _save(self) -> None:
        """Write the cache by rename. Without it the next start hashes again, so a full disk is no reason to fail."""
        with self._lock:
            self._unsaved = False
            latest = {(key.place, key.large): key for key in self._known}  # a file's older states have had their day
            self._known = {key: self._known[key] for key in latest.values()}
            rows = [[k.place, k.size, k.mtime_ns, k.large, digest] for k, digest in self._known.items()]
        try:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_soon(self._cache, json.dumps({"version": 1, "digests": rows}), 0o600)
        except OSError as error:
            log.warning("The digests could not be kept in %s: %s", self._cache, error)


def cache_for(root: Path, user_cache: Path | None = None) -> Path:
    """Where a folder's digests are kept: beside it, or in the user's cache folder where beside is not writable."""
    if os.access(root.parent, os.W_OK):
        return root.parent / f".{root.name}.windlass-hashes.json"
    configured = os.environ.get("XDG_CACHE_HOME")
    user_cache = user_cache or (Path(configured) if configured else Path.home() / ".cache")
    which = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return user_cache / "windlass" / f"hashes-{which}.json"


def _finished(digest: str) -> Future[str]:
    future: Future[str] = Future()
    future.set_result(digest)
    return future


def _succeeded(future: Future[str]) -> bool:
    return future.exception() is None


def _read(cache: Path) -> dict[Key, str]:
    """What an earlier run knew; a cache that does not read well counts as none."""
    try:
        rows: Any = json.loads(cache.read_bytes())["digests"]
        return {Key(*row[:4]): _checked(row) for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _checked(row: list[Any]) -> str:
    shape = [type(value) for value in row]
    if shape != [str, int, int, bool, str] or len(row[4]) != (64 if row[3] else 40):
        raise ValueError(row)
    int(row[4], 16)
    return str(row[4])
