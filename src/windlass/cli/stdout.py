"""stdout, where data goes: that it could not be written is said in words, and ends the command with the right code.

An `OSError` from anywhere does not tell which file it is about, and what a short command prints is only written when it
has ended. So stdout itself raises what nothing else does.
"""

import errno
import io
import os
import sys
from typing import Any


class Unwritable(Exception):
    """Data was lost: the disk is full, or there is no stdout."""


class ReaderGone(Exception):
    """Who read has seen enough. No `BrokenPipeError`: Typer and Rich would each end the command in its own way."""


class _Written(io.FileIO):
    """A file descriptor whose errors say that they are stdout's; each once, for the interpreter tries again at its end.

    Without a descriptor, where whoever started the command has closed it, nothing can be written.
    """

    before: Any = None

    def __init__(self, descriptor: int | None) -> None:
        nothing = os.open(os.devnull, os.O_WRONLY) if descriptor is None else descriptor
        super().__init__(nothing, "wb", closefd=False)
        self._works = descriptor is not None
        self._said = False

    def write(self, data: Any) -> int:
        """Raises Unwritable, ReaderGone."""
        if self._said:
            return len(data)
        try:
            return self._write(data)
        except BrokenPipeError as error:
            self._said = True
            raise ReaderGone from error
        except OSError as error:
            self._said = True
            raise Unwritable(f"cannot write to stdout: {error.strerror}") from error

    def _write(self, data: Any) -> int:
        if not self._works:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return super().write(data)


def watch() -> None:
    """From now on stdout raises `Unwritable` or `ReaderGone`; one that is no file, as in tests, is left as it is."""
    out: Any = sys.stdout
    if out is None:
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(_Written(None)), "utf-8")
        return
    below = getattr(out, "buffer", None)
    if isinstance(getattr(below, "raw", below), io.FileIO):  # with PYTHONUNBUFFERED there is no buffer between
        raw = _Written(out.fileno())
        raw.before = out  # kept, for with the last who knows it the descriptor is closed
        buffer: Any = raw if isinstance(below, io.FileIO) else io.BufferedWriter(raw)
        sys.stdout = io.TextIOWrapper(
            buffer, out.encoding, out.errors, line_buffering=out.line_buffering, write_through=out.write_through
        )
