"""A page as this suite sees it: its fenced blocks, in order."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])

RUN = ("sh", "python")
_FENCE = re.compile(r"^(?P<mark>```+)(?P<language>\w*)\n(?P<text>.*?)^(?P=mark)$\n?", re.MULTILINE | re.DOTALL)
_MACHINE = re.compile(r"<!-- on: (\w+) -->\n$")


@dataclass(frozen=True)
class Block:
    """One block. `shown` is what stands right after it as its output; `machine`, where it is typed."""

    language: str
    text: str
    line: int
    machine: str = ""
    shown: str | None = None


def blocks_of(text: str) -> list[Block]:
    """The fenced blocks of a page. A comment before one, `<!-- on: laptop -->`, says that another machine is meant."""
    found: list[Block] = []
    end = 0
    for fence in _FENCE.finditer(text):
        between, end = text[end : fence.start()], fence.end()
        language, body = fence["language"], fence["text"]
        if language == "text" and found and found[-1].language in RUN and not between.strip():
            last = found.pop()
            found.append(Block(last.language, last.text, last.line, last.machine, body))
            continue
        machine = _MACHINE.search(between)
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(language, body, line, machine[1] if machine else ""))
    return found


def commands_of(page: Path) -> list[Block]:
    """The blocks that are run."""
    return [block for block in blocks_of(page.read_text(encoding="utf-8")) if block.language in RUN]


def prose_of(text: str) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("\n", text)
