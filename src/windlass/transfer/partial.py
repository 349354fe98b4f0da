"""A partial file and what lies beside it: the file that grows, its ledger, and the seal that says it is whole.

    <folder>/<name>.part      the bytes, each at its place
    <folder>/<name>.ledger    which of them have come (ledger.py)
    <folder>/<name>.whole     once verified: the digests, and the size and mtime by which the .part is known again

Of a small file there is the .part alone, written in one go and hashed again where it is found.

The name is made from the content's digest, so the same file asked for by two jobs is one partial. One writer at a time:
an flock on the .part, which the kernel lifts when the process dies, however it dies.
"""

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from pathlib import Path

from windlass.errors import InsufficientStorage, StorageFailure, StorageUnavailable
from windlass.transfer import ledger as ledgers
from windlass.transfer import seal as seals
from windlass.transfer.ledger import Ledger, Piece
from windlass.transfer.seal import Seal

LOOK_AGAIN = 0.25  # seconds between looks at a partial that another writer has
HELD = "another job brings this file in; waiting for it"
SMALL = 512 * 1024  # bytes up to which a file is written in one go (small.py), with 32 at a time 16 MiB of memory
_MOST_PARTS = 1024  # of one write: IOV_MAX of Linux
_LONGEST = 16 * 1024 * 1024  # bytes of a ledger or a seal; the seal of 12 TiB has as many
_REWRITE_AFTER = 2000  # lines that later ones have made obsolete, before the ledger is written anew


class Partial:
    """The open partial of one file, locked for this writer until it is closed. `open_partial` makes it."""

    def __init__(self, path: Path, fd: int, identity: str, size: int) -> None:
        self.path = path
        self.fd = fd
        self.size = size
        self._identity = identity
        self._ledger_fd = -1
        self._obsolete = 0
        self._torn = False
        self._syncing: Future[None] | None = None
        self.ledger = self._load()

    def write(self, offset: int, *parts: bytes | memoryview) -> int:
        """Put bytes in their place, one part after the other from `offset`; answers how many.

        Raises:
            StorageFailure: the disk is full, gone or read-only.
        """
        size = sum(len(part) for part in parts)
        if len(parts) > _MOST_PARTS:
            parts = (b"".join(parts),)
        with disk_errors(self.path):
            written = os.pwritev(self.fd, parts, offset)
            if written < size:
                rest = memoryview(b"".join(parts))
                while written < size:
                    written += os.pwrite(self.fd, rest[written:], offset + written)
        return size

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Read into `buffer` from `offset`; answers how many bytes there were."""
        with disk_errors(self.path):
            return os.preadv(self.fd, [buffer], offset)

    def record(self, pieces: Iterable[Piece]) -> None:
        """Note in the ledger what has come. Cheap: an append, no flush (ledger.py says why that is enough)."""
        lines = []
        for piece in pieces:
            self._obsolete += piece.start in self.ledger.pieces
            self.ledger.add(piece)
            lines.append(ledgers.entry(piece))
        self._append("".join(lines))

    def forget(self, start: int) -> None:
        """Note that the piece that starts here does not hold what it should."""
        self.ledger.drop(start)
        self._append(ledgers.loss(start))

    def start_over(self) -> None:
        """Throw away all that has come."""
        self.ledger = Ledger(self._identity, self.size)
        with disk_errors(self.path):
            os.ftruncate(self.fd, 0)
            os.ftruncate(self.fd, self.size)
        self._rewrite_ledger()

    def sync_soon(self, threads: Executor) -> None:
        """Have the disk begin with what it must write anyway, so that `seal` need not wait for all of it at the end.

        A flush may take seconds, and nobody who closes the file waits for it.
        """
        if self._syncing is None or self._syncing.done():
            self._syncing = threads.submit(_flush, self.path)

    def seal(self, sha256: str, digest: str, chunks: tuple[str, ...]) -> Seal:
        """Mark the file as whole and verified; it survives a restart as such. Slow: for a thread."""
        with disk_errors(self.path):
            self._look_for_it()
            os.fsync(self.fd)
            stat = os.fstat(self.fd)
            seal = Seal(sha256, digest, chunks, stat.st_size, stat.st_mtime_ns)
            # The ledger stays: a power cut that takes the seal, which is not flushed, costs a second hashing then, and
            # not a second download.
            write_seal(self.path, seal)
        return seal

    def close(self) -> None:
        """Let go of the file and its lock."""
        for fd in (self._ledger_fd, self.fd):
            if fd >= 0:
                os.close(fd)

    def _load(self) -> Ledger:
        text = _read_text(self.path.with_suffix(".ledger"))
        known = ledgers.parse(text, self._identity, self.size) if text else None
        fits = os.fstat(self.fd).st_size == self.size
        if known and fits:
            self._obsolete = text.count("\n") - len(known.pieces)
            return known
        with disk_errors(self.path):
            if not fits:  # truncating to the same size would change the mtime, by which a seal knows its file
                os.ftruncate(self.fd, self.size)
            self.path.with_suffix(".ledger").unlink(missing_ok=True)
        return Ledger(self._identity, self.size)

    def _append(self, lines: str) -> None:
        if not lines:
            return
        with disk_errors(self.path):
            self._look_for_it()
            if self._ledger_fd >= 0 and not self._torn and self._obsolete <= _REWRITE_AFTER:
                # A full disk may take half a line, and what is appended to a torn line does not count.
                self._torn = True
                self._torn = os.write(self._ledger_fd, lines.encode()) < len(lines)
                if not self._torn:
                    return
        self._rewrite_ledger()

    def _look_for_it(self) -> None:
        """Writing to a file that somebody has removed goes well, to the end, and then nobody finds it."""
        if os.fstat(self.fd).st_nlink == 0:
            raise FileNotFoundError(errno.ENOENT, "the partial file was removed")

    def _rewrite_ledger(self) -> None:
        path = self.path.with_suffix(".ledger")
        with disk_errors(self.path):
            _replace(path, ledgers.dump(self.ledger))
            if self._ledger_fd >= 0:
                os.close(self._ledger_fd)
            self._ledger_fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._obsolete, self._torn = 0, False


def open_partial(folder: Path, name: str, identity: str, size: int) -> Partial | None:
    """Open the partial `name` in `folder`, made if need be; None while another writer has it.

    Raises:
        StorageFailure: the folder cannot be written to.
    """
    path = folder / f"{name}.part"
    _part_with(path)
    fd = open_locked(path)
    if fd < 0:
        return None
    try:
        return Partial(path, fd, identity, size)
    except BaseException:
        os.close(fd)
        raise


def _part_with(path: Path) -> None:
    """Let go of a file that has another name too, in some program's cache: what is theirs is not written to."""
    with disk_errors(path), suppress(FileNotFoundError):
        if path.stat().st_nlink > 1:
            path.unlink()


def open_locked(path: Path) -> int:
    """Open `path` for one writer, made if need be; answers the descriptor, or -1 while another writer has it.

    Raises:
        StorageFailure: the folder cannot be written to.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            mine = _locked(fd, path)
        except BaseException:
            os.close(fd)
            raise
    if not mine:
        os.close(fd)
    return fd if mine else -1


def write_seal(path: Path, seal: Seal) -> None:
    """Mark a `.part` as whole. Raises OSError."""
    _replace(path.with_suffix(".whole"), seals.dump(seal))


def read_seal(path: Path) -> Seal | None:
    """The seal of a `.part`, if it has one that still fits it."""
    seal = seals.parse(_read_text(path.with_suffix(".whole")))
    try:
        return seal if seal and _fits(seal, path.stat()) else None
    except OSError:
        return None


def _fits(seal: Seal, stat: os.stat_result) -> bool:
    return (stat.st_size, stat.st_mtime_ns) == (seal.size, seal.mtime_ns)


def kept_bytes(folder: Path, name: str, identity: str, size: int) -> int:
    """How many bytes of a file are kept here, by its seal or its ledger; for saying so before it is opened."""
    path = folder / f"{name}.part"
    if read_seal(path):
        return size
    if size <= SMALL:
        return size if _has_size(path, size) else 0
    text = _read_text(path.with_suffix(".ledger"))
    known = ledgers.parse(text, identity, size) if text and exists(folder, name) else None
    return known.received if known else 0


def exists(folder: Path, name: str) -> bool:
    """Whether there is a partial of this name; of a disk that does not answer, no."""
    return os.path.exists(folder / f"{name}.part")  # noqa: PTH110 - Path's own raises where the disk does not answer


def is_held(path: Path) -> bool:
    """Whether somebody writes to a partial, or publishes it, right now."""
    with disk_errors(path):
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _locked(fd, path)
        finally:
            os.close(fd)


@contextmanager
def claimed(path: Path, seal: Seal) -> Iterator[bool]:
    """Hold a sealed partial for as long as it is being published.

    False where somebody else has published it, has written into it since it was sealed, or has it right now. He may be
    one who found its ledger damaged and fetches all of it anew, so he is not waited for here, where nobody can pause.
    """
    with disk_errors(path):
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            fd = -1
    try:
        with disk_errors(path):
            ours = fd >= 0 and _locked(fd, path) and _fits(seal, os.fstat(fd))
        yield ours
    finally:
        if fd >= 0:
            os.close(fd)


def clear(folder: Path, name: str) -> None:
    """Remove what lies beside a partial that has been published; a new one of the same name may be there already."""
    for suffix in (".ledger", ".ledger~", ".whole", ".whole~"):
        path = folder / f"{name}{suffix}"
        with disk_errors(path):
            path.unlink(missing_ok=True)


def discard(folder: Path, name: str) -> None:
    """Remove a partial and what lies beside it."""
    clear(folder, name)
    path = folder / f"{name}.part"
    with disk_errors(path):
        path.unlink(missing_ok=True)


def discard_idle(folder: Path, name: str) -> None:
    """Remove a partial and what lies beside it, unless a writer has it."""
    path = folder / f"{name}.part"
    with disk_errors(path):
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            if _locked(fd, path):
                discard(folder, name)
        finally:
            os.close(fd)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says into errors for people."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, path) from error


def disk_error(error: OSError, path: Path) -> StorageFailure:
    """The error for people of one of the operating system's."""
    if error.errno == errno.EFBIG:
        return StorageUnavailable(
            f"The file system of {path.parent} holds no file of this size.",
            hint="FAT32 ends at 4 GB: use another disk, or format it as exFAT or ext4.",
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InsufficientStorage(
            f"The disk that holds {path.parent} is full.",
            needed=0,
            free=0,
            hint="Free some space; what has come so far is kept.",
        )
    return StorageUnavailable(
        f"{path.parent} cannot be written to: {error.strerror or error}.",
        hint="Check that the disk is there and writable, then resume.",
    )


def sync(path: Path) -> None:
    """Return when the file's bytes are on the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _flush(path: Path) -> None:
    """Flush the file by a descriptor that was opened for it alone.

    A duplicate would share the lock, and a resume find the file held by us for as long as the flush takes. It would
    share errors too, which the kernel tells each opened file once: `seal` would not be told of this one.
    """
    with suppress(OSError):  # seal() flushes again, and there it matters
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)


def _locked(fd: int, path: Path) -> bool:
    """Lock for writing, and make sure that the locked file is still the one at `path` (a publish may have moved it)."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return _is_at(fd, path)


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.fstat(fd).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _read_text(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:  # of a longer one the rest is missing, as after a crash
            return file.read(_LONGEST)
    except (OSError, UnicodeDecodeError):
        return ""


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + "~")
    temporary.write_text(text, encoding="ascii")
    temporary.replace(path)
