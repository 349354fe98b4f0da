"""Writes docs/README.md, the list of all pages for who looks into the folder, in the order of the site."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "README.md"

_HEAD = """\
<!-- Made by `make docs` from the nav in mkdocs.yml. -->

# The docs
"""


def render() -> str:
    """The whole page, in Markdown."""
    groups = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    return "\n".join(
        [_HEAD, *(line for group in groups for name, pages in group.items() for line in _group(name, pages))]
    )


def _group(name: str, pages: Any) -> Iterator[str]:
    """A heading with its pages; a page on its own, and this one, are no group."""
    if isinstance(pages, str):
        return
    yield f"## {name}\n"
    for page in pages:
        for title, path in page.items():
            link = path.removeprefix("docs/") if path.startswith("docs/") else f"../{path}"
            yield f"- [{title}]({link})"
    yield ""
