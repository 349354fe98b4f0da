"""What `windlass import` shows while it is at work."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from windlass.cli.importing import bring_in
from windlass.library import cloning
from windlass.library.imports import Way
from windlass.settings import load

CONTENT = b"GGUF\x03" + bytes(9_000_000)
PATH = "imported-models/Thing-Q4_K_M/Thing-Q4_K_M.gguf"


@pytest.mark.parametrize("way", ["copy", "move"])
def test_it_shows_how_far_it_is(tmp_path: Path, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `verify` does: of 40 GB both copying and hashing take minutes."""
    monkeypatch.setattr(cloning, "_reflink", lambda *_: False)
    monkeypatch.setattr(cloning, "_BLOCK", 5_000_000)
    source = tmp_path / "Thing-Q4_K_M.gguf"
    source.write_bytes(CONTENT)
    settings = load({}, {"WINDLASS_HOME": str(tmp_path), "WINDLASS_MODELS_DIR": str(tmp_path / "models")}, tmp_path)
    seen = io.StringIO()
    console = Console(file=seen, force_terminal=True, color_system=None)
    which = source, None, None
    assert bring_in(settings, console, which, (way, None), dry_run=False, yes=True, as_json=False) == 0
    assert f"\r{PATH}  4.19 MB of 9.00 MB" in seen.getvalue()
    assert (f"\r{PATH}, copied  5.00 MB of 9.00 MB" in seen.getvalue()) is (way == "copy")
    assert seen.getvalue().endswith("\r\x1b[K")
