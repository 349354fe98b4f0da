"""A hook of MkDocs: the site is the repository's own pages, with their own links, and no copy is kept by hand.

Pages link one another by their paths in the repository, so that they read well there; the site has them under the same
paths, README.md as its first page. MkDocs would want all of them in one folder, with links that lead nowhere outside.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/RESULTS.md")


def on_files(files: Files, config: Any) -> Files:
    """The root's pages and those of docs/, each under its path in the repository."""
    theme = [file for file in files if not Path(file.abs_src_path or "").is_relative_to(ROOT / "docs")]
    found = (path for path in sorted((ROOT / "docs").rglob("*")) if path.is_file())
    docs = (path for path in found if path.name != "README.md")  # which is the nav's list
    own = [*PAGES, *(str(path.relative_to(ROOT)) for path in docs)]
    return Files([*theme, *(File(path, str(ROOT), config.site_dir, config.use_directory_urls) for path in own)])


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Without links to source files, which are not here, and without diagrams, which a script from afar would draw."""
    del config
    folder = Path(page.file.src_uri).parent

    def _kept(link: re.Match[str]) -> str:
        target = link[2].partition("#")[0]
        known = not target or re.match(r"[a-z]+:", target) or target.endswith(".md") or _found(files, folder, target)
        return link[0] if known else link[1]

    markdown = re.sub(r"^```mermaid\n.*?^```\n", "", markdown, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)", _kept, markdown)


def _found(files: Files, folder: Path, target: str) -> bool:
    path = (ROOT / folder / target).resolve()
    return path.is_relative_to(ROOT) and files.get_file_from_path(path.relative_to(ROOT).as_posix()) is not None
