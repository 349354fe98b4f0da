"""What a process has to say of its work, on stderr: a line for people, or JSON for programs that collect it.

The rooms log with the standard library's `logging`, and put what a program may look for into `extra`. Only here is
known what becomes of it. (structlog does the same; to import it is a seventh of the time in which a server must be up.)
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

from windlass.masking import mask

Form = Literal["text", "json"]

_USUAL = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class _Plain(logging.Formatter):
    """For commands: what there is to say, without ceremony."""

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


class _Line(logging.Formatter):
    """For people: when, how grave, what."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        return mask(f"{_time(record)} {level}{super().format(record)}")


class _Json(logging.Formatter):
    """For programs: an object a line, with whatever `extra` has."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: _masked(value) for name, value in line.items()}, ensure_ascii=False, default=str)


def speak_plainly() -> None:
    """Have a command say only what went wrong."""
    _speak(_Plain("%(message)s"), logging.WARNING)


def keep_a_log(form: Form) -> None:
    """Have a server tell what it does, line by line."""
    _speak(_Json() if form == "json" else _Line("%(message)s"), logging.INFO)


def _speak(formatter: logging.Formatter, level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("windlass").setLevel(level)


def _masked(value: Any) -> Any:
    return mask(value) if isinstance(value, str) else value


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
