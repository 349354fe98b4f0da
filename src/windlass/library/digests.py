"""The digests of a file that stands on the shelf, read once from front to back."""

import hashlib
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import xxhash

from windlass.errors import Stopped
from windlass.library.opening import open_file
from windlass.library.receipts import CHUNK_SIZE
from windlass.manifest import Algorithm, Digest

_BLOCK = 4 * 1024 * 1024  # a divisor of CHUNK_SIZE; larger ones fall out of the cache before the second hash sees them

OnProgress = Callable[[int], None]
ShouldStop = Callable[[], bool]


def never() -> bool:
    """Go on whatever happens: the `ShouldStop` of those who cannot be stopped."""
    return False


def digest_file(
    path: Path,
    algorithm: Algorithm,
    *,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop = never,
) -> tuple[Digest, tuple[str, ...]]:
    """Hash the file's content on the caller's thread.

    Args:
        path: the file; it must not change meanwhile (compare its size and time before and after).
        algorithm: `sha256`, or `git-sha1` for git's blob hash.
        on_progress: told the bytes done so far, after each 4 MiB.
        should_stop: asked before each 4 MiB.

    Returns:
        Its digest, and the xxh3-64 of each chunk of 16 MiB in hex.

    Raises:
        Stopped: `should_stop` said so.
        OSError: the file cannot be read.
    """
    with open_file(path) as file:
        whole = _hasher(algorithm, file.seek(0, 2))
        file.seek(0)
        chunks = _digest(file, whole.update, on_progress or (lambda done: None), should_stop)
    return Digest(algorithm, whole.hexdigest()), chunks


def _hasher(algorithm: Algorithm, size: int) -> "hashlib._Hash":
    if algorithm == "sha256":
        return hashlib.sha256()
    # git-hash-object: the header names the type and the size. Not for security: it is the only digest the hub has for
    # a small file.
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def _digest(
    file: FileIO, update: Callable[[memoryview], None], on_progress: OnProgress, should_stop: ShouldStop
) -> tuple[str, ...]:
    buffer = memoryview(bytearray(_BLOCK))
    chunks: list[str] = []
    chunk, done = xxhash.xxh3_64(), 0
    while True:
        if should_stop():
            raise Stopped("The check was stopped.")
        count = file.readinto(buffer[: min(_BLOCK, CHUNK_SIZE - done % CHUNK_SIZE)])
        if not count:
            return (*chunks, chunk.hexdigest()) if done % CHUNK_SIZE else tuple(chunks)
        update(buffer[:count])
        chunk.update(buffer[:count])
        done += count
        on_progress(done)
        if done % CHUNK_SIZE == 0:
            chunks.append(chunk.hexdigest())
            chunk.reset()
