"""Writes docs/errors.md from the code: `windlass.codes` has the words, the faces have the statuses and exit codes."""

from pathlib import Path

from windlass.api.errors import place_of
from windlass.cli.exits import exit_code_of
from windlass.codes import BY_CODE, ENTRIES
from windlass.errors import WindlassError

PAGE = Path(__file__).parents[1] / "docs" / "errors.md"

_CLASSES = {cls.code: cls for cls in ENTRIES}
_HEAD = """\
<!-- Made by `make docs` from src/windlass/codes.py: change the words there. -->

# Error codes

Every code that Windlass shows, what it means, and what to do. The set is closed: there is no other, and none is renamed
or given another meaning. A newer Windlass may add some; take one that you do not know for an `internal_error`.

Where a code stands:

- in an **answer** that is no success: `{"error": {"type", "message", "hint", "code", "param"}}`, with the HTTP status
  below;
- in a **job**: `error_code`, with `error_message`, where `status` is `failed`; a job that waits for room on the disk is
  `paused` and has one, too;
- on the **command line** it is the message on stderr and the [exit code](command-line.md#exit-codes). A job's code and
  a server's lead to the same exit code as if the command had met the error by itself.

The message has the particulars: names, numbers, addresses. Below stands what holds every time.
"""


def render() -> str:
    """The whole page, in Markdown."""
    head = "| code | answer | job | exit |\n| --- | --- | --- | --- |"
    table = "\n".join([head, *(_row(_CLASSES[code]) for code in BY_CODE)])
    return "\n".join([_HEAD, table, *(_section(_CLASSES[code]) for code in BY_CODE), ""])


def _row(cls: type[WindlassError]) -> str:
    places, code = ENTRIES[cls].places, cls.code
    status = str(place_of(cls)[0]) if "answer" in places else "–"
    return f"| [`{code}`](#{code}) | {status} | {'yes' if 'job' in places else '–'} | {exit_code_of(code)} |"


def _section(cls: type[WindlassError]) -> str:
    entry = ENTRIES[cls]
    return f"""
## `{cls.code}`

{entry.happened}

- **Kept**: {entry.kept}
- **What to do**: {entry.advice}"""
