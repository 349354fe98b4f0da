"""Each command of the docs, run as it is written: it ends well, and says what the page shows."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import tables
from docs.outputs import differs
from docs.pages import PAGES, Block, blocks_of, commands_of
from docs.world import Ran, Unavailable, World, world

RUNNABLE = [page for page in PAGES if commands_of(page) and page.name not in tables.READ_ONLY]


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    """A machine for all pages of this process."""
    missing = [name for name in ("ip", "curl") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"the docs' commands need {' and '.join(missing)}: apt install iproute2 curl")
    try:
        with world() as made:
            yield made
    except Unavailable as why:
        pytest.skip(str(why))


def wrong(blocks: list[Block], ran: Ran) -> list[str]:
    """What did not go as the page has it."""
    found = []
    for block, said in zip(blocks, ran.said, strict=False):
        if block.shown is not None and (line := differs(block.shown, said)):
            found.append(f"line {block.line}: {block.text}shows {line!r}, and this was said:\n{said}")
    if ran.code:
        at = max(0, len(ran.said) - 1)
        found.append(f"line {blocks[at].line}: {blocks[at].text}ended with {ran.code}:\n{''.join(ran.said[-1:])}")
    gone = [words for words in ran.noted if not tables.NOT_RUN[words.split()[0]].holds(words)]
    return [*found, *(f"{words}: what it names is not there" for words in gone)]


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.name)
def test_the_commands_do_what_the_page_says(page: Path, here: World, tmp_path: Path) -> None:
    """In order, in a fresh home, in the network that the page thinks of."""
    blocks = commands_of(page)
    found = wrong(blocks, here.run(blocks, tmp_path))
    assert not found, f"{page.name}\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("```sh\nfalse\ntrue\n```\n", "ended with 1"),
        ("```sh\necho one\n```\n\n```text\ntwo\n```\n", "shows 'two'"),
        ("```sh\nwindlass nonsense\n```\n", "ended with 2"),
        ("```sh\ncurl $WINDLASS_HF_ENDPOINT/nowhere\n```\n", "ended with 22"),
        ("```sh\nllama-server -m /nowhere/a.gguf\n```\n", "no model"),
        ("```sh\nmake nothing-of-this-name\n```\n", "not there"),
        ("```python\nraise SystemExit(3)\n```\n", "ended with 3"),
    ],
)
def test_a_page_that_is_wrong_is_found(page: str, says: str, here: World, tmp_path: Path) -> None:
    """Else the tests above would prove nothing."""
    blocks = blocks_of(page)
    assert says in "\n".join(wrong(blocks, here.run(blocks, tmp_path)))


def test_the_tables_have_what_the_pages_use() -> None:
    """A command that no page has any more is not excused any more."""
    text = "\n".join(block.text for page in PAGES for block in commands_of(page))
    assert [name for name in (*tables.NOT_RUN, *tables.READERS) if name not in text] == []
    assert tables.READ_ONLY.keys() <= {page.name for page in PAGES}
