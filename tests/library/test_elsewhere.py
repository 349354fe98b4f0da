"""The same content elsewhere on this machine is found by its name or its size, and a second name costs little."""

import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest

from library.shelving import file_of
from windlass.errors import Stopped
from windlass.library import cloning
from windlass.library.cloning import clone
from windlass.library.elsewhere import SMALLEST, Elsewhere, places
from windlass.manifest import Digest

CONTENT = b"GGUF" + os.urandom(SMALLEST)
FILE = file_of(CONTENT, repo="owner/M-GGUF")


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_hub_cache_has_it_under_its_hash(tmp_path: Path) -> None:
    """Its own repository's first, then any other's; a blob may be a link to where the cache really keeps it."""
    name = FILE.digest.hex
    other = put(tmp_path / "models--someone--else" / "blobs" / name)
    own = tmp_path / "models--owner--M-GGUF" / "blobs" / name
    own.parent.mkdir(parents=True)
    own.symlink_to(put(tmp_path / "blobs" / "ab" / "xet"))
    assert list(Elsewhere(hub_caches=[tmp_path]).find(FILE))[:2] == [own, own]
    own.unlink()
    assert list(Elsewhere(hub_caches=[tmp_path, tmp_path / "absent"]).find(FILE)) == [other]


def test_ollama_has_it_under_its_hash(tmp_path: Path) -> None:
    """As `sha256-…`."""
    blob = put(tmp_path / "blobs" / f"sha256-{FILE.digest.hex}")
    assert list(Elsewhere(ollama=[tmp_path]).find(FILE)) == [blob]


def test_any_folder_has_files_of_the_same_size(tmp_path: Path) -> None:
    """Whatever they are called, at any depth; hidden folders and links to folders are left out."""
    found = {put(tmp_path / "a" / "b" / "model.gguf"), put(tmp_path / "c.bin", bytes(len(CONTENT)))}
    put(tmp_path / ".hidden" / "model.gguf")
    put(tmp_path / "other.gguf", CONTENT + b"x")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert set(Elsewhere(folders=[tmp_path, tmp_path / "absent"]).find(FILE)) == found


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", b""])
def test_what_is_of_another_size_is_not_it(tmp_path: Path, content: bytes) -> None:
    """An unfinished download has the name already."""
    put(tmp_path / "models--owner--M-GGUF" / "blobs" / FILE.digest.hex, content)
    assert list(Elsewhere(hub_caches=[tmp_path]).find(FILE)) == []


def test_what_is_small_or_not_known_by_sha256_is_not_looked_for(tmp_path: Path) -> None:
    """It is sooner fetched than found."""
    small = file_of(b"{}")
    put(tmp_path / "blobs" / f"sha256-{small.digest.hex}", b"{}")
    assert list(Elsewhere(ollama=[tmp_path]).find(small)) == []
    by_git = replace(FILE, digest=Digest("git-sha1", FILE.digest.hex))
    put(tmp_path / "blobs" / f"sha256-{FILE.digest.hex}")
    assert list(Elsewhere(ollama=[tmp_path]).find(by_git)) == []


def test_where_programs_keep_models(tmp_path: Path) -> None:
    """By default, and where their own variables say otherwise."""
    default = places({}, tmp_path, [Path("/mnt/models")])
    assert default.hub_caches == (tmp_path / ".cache/huggingface/hub",)
    assert tmp_path / ".ollama/models" in default.ollama
    assert default.folders[0] == Path("/mnt/models")
    assert tmp_path / ".local/share/Jan/data/llamacpp/models" in default.folders
    told = places({"HF_HOME": "/hf", "OLLAMA_MODELS": "/ollama"}, tmp_path, [])
    assert (told.hub_caches, told.ollama[0]) == ((Path("/hf/hub"),), Path("/ollama"))
    assert places({"HF_HUB_CACHE": "/cache", "HF_HOME": "/hf"}, tmp_path, []).hub_caches == (Path("/cache"),)
    assert places({"XDG_CACHE_HOME": "/x"}, tmp_path, []).hub_caches == (Path("/x/huggingface/hub"),)


# A second name


def refuse(*_: object, **__: object) -> None:
    raise OSError(18, "Invalid cross-device link")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return put(tmp_path / "source")


def test_a_hard_link_where_that_will_do(source: Path, tmp_path: Path) -> None:
    """No block is written; through a link it is the file itself that gets the second name."""
    (tmp_path / "link").symlink_to(source)
    way = clone(tmp_path / "link", tmp_path / "target", hard_links=True)
    assert way in {"hardlink", "reflink"}
    assert (tmp_path / "target").read_bytes() == CONTENT
    if way == "hardlink":
        assert (tmp_path / "target").stat().st_ino == source.stat().st_ino


def test_a_copy_where_it_will_not(source: Path, tmp_path: Path) -> None:
    """Then the two have nothing to do with each other."""
    way = clone(source, tmp_path / "target", hard_links=False)
    assert way in {"copy", "reflink"}
    (tmp_path / "target").write_bytes(b"changed")
    assert source.read_bytes() == CONTENT


def test_shared_blocks_where_the_disk_has_them(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for first: they cost nothing, and part when one of the two is written to."""
    monkeypatch.setattr(fcntl, "ioctl", lambda *_: 0)
    assert clone(source, tmp_path / "target", hard_links=True) == "reflink"


def test_another_disk_gets_a_copy(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where the kernel cannot copy between the two, it sends."""
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "copy_file_range", refuse)
    assert clone(source, tmp_path / "target", hard_links=True) in {"copy", "reflink"}
    assert (tmp_path / "target").read_bytes() == CONTENT


def test_a_copy_that_fails_leaves_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, most often."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cloning, "_reflink", lambda *_: False)
    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(OSError, match="No space left"):
        clone(source, tmp_path / "target", hard_links=False)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("kernel", ["copies", "sends"])
def test_a_copy_is_stopped_between_blocks(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    """Of 40 GB too nobody waits for more than one of them, and what was copied by then is gone."""
    target = tmp_path / "target"
    copied: list[int] = []

    def stop() -> bool:
        copied.append(target.stat().st_size)
        return len(copied) == 3

    monkeypatch.setattr(cloning, "_reflink", lambda *_: False)
    monkeypatch.setattr(cloning, "_BLOCK", 1000)
    if kernel == "sends":
        monkeypatch.setattr(os, "copy_file_range", refuse)
    with pytest.raises(Stopped):
        clone(source, target, hard_links=False, should_stop=stop)
    assert copied == ([0, 0, 1000] if kernel == "sends" else [0, 1000, 2000])
    assert not target.exists()
