"""Whether what a command said is what the page shows."""

import re

# What is another one each time, or with models of another size.
_VARY = (
    (r"\d+(?:\.\d+)? (?:B|kB|MB|GB|TB)(?:/s)?\b", "SIZE"),
    (r"\bjob_[0-9a-f]{10}\b", "JOB"),
    (r"sk-lm-\w{8}:(?:\w{20}|…)", "TOKEN"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?", "TIME"),
    (r"\b[0-9a-f]{7,64}\b", "HEX"),
    (r"[ \t]+", " "),
)


def differs(shown: str, said: str) -> str | None:
    """The first line that is shown and was not said; None where all agrees.

    In what is shown `…` stands for any text of a line, and a line of its own for any lines.
    """
    pattern = ""
    lines = [_same(line) for line in shown.splitlines()]
    text = "".join(f"{_same(line)}\n" for line in said.splitlines() if line.strip())
    for line in filter(None, lines):
        pattern += r"(?:.*\n)*" if line == "…" else _line(line) + r"\n"
        if not re.match(pattern, text):
            return line
    return None if re.fullmatch(pattern, text) else "(more was said)"


def _same(line: str) -> str:
    for pattern, word in _VARY:
        line = re.sub(pattern, word, line)
    return line.strip()


def _line(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.split("…"))
