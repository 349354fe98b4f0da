"""What an exported folder says of itself: written and read back the same, and believed only where it can be."""

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from library.shelving import file_of, manifest_of
from windlass.errors import InvalidRequest
from windlass.library.exports import Export, Packed, Record, find_export, read_export, sums_of, write_export
from windlass.manifest import CatalogEntry, Digest, ManifestFile
from windlass.names import safe_path

WEIGHTS = file_of(b"weights")
CONFIG = ManifestFile("owner/M-GGUF", "c" * 40, "config.json", 2, Digest("git-sha1", "9" * 40), "data")
ENTRY = CatalogEntry("owner", "m", "model: owner/m\n", "{}")
PATH = WEIGHTS.shelf_path


def record(file: ManifestFile) -> Record:
    sha256 = file.digest.hex if file.digest.algorithm == "sha256" else "8" * 64
    return Record(file.size, file.digest, sha256, file.commit, "https://hub.example", ("0123456789abcdef",))


def whole() -> Export:
    plain = Packed(manifest_of(WEIGHTS), "2026-01-01T00:00:00.000Z")
    listed = Packed(
        manifest_of(WEIGHTS, CONFIG, id="owner/m", catalog=ENTRY), "2026-01-02T00:00:00.000Z", {"domain": "llm"}
    )
    return Export((plain, listed), {file.shelf_path: record(file) for file in (WEIGHTS, CONFIG)})


def raw() -> Any:
    return json.loads(write_export(whole()))


def test_it_is_read_as_it_was_written() -> None:
    """All of it."""
    assert read_export(write_export(whole()).encode()) == whole()


def test_the_sums_are_of_everything() -> None:
    """The files by sha256 whatever the hub's hash is, the catalog's texts, and the manifest of the export itself."""
    names = [line.partition("  ")[2] for line in sums_of(whole(), "text").splitlines()]
    catalog = ["catalog/owner/m/manifest.json", "catalog/owner/m/model.yaml"]
    assert names == [*catalog, PATH, CONFIG.shelf_path, "windlass-export.json"]
    assert f"{'8' * 64}  {CONFIG.shelf_path}\n" in sums_of(whole(), "text")


def test_a_model_takes_the_place_of_its_older_self() -> None:
    """By its key; files that no model has any more are left out."""
    newer = manifest_of(file_of(b"newer", path="N-Q4_K_M.gguf"))
    after = whole().plus([Packed(newer)], {file.shelf_path: record(file) for file in newer.files})
    assert {one.manifest.id for one in after.models} == {"owner/m", "owner/M-GGUF"}
    assert after.files.keys() == {PATH, CONFIG.shelf_path, "owner/M-GGUF/N-Q4_K_M.gguf"}
    (new,) = newer.files
    alone = Export(whole().models[:1], whole().files).plus([Packed(newer)], {new.shelf_path: record(new)})
    assert alone.files.keys() == {"owner/M-GGUF/N-Q4_K_M.gguf"}


def files(value: Any) -> Any:
    return value["files"][PATH]


def manifest(value: Any) -> Any:
    return value["models"][0]["manifest"]


def catalog(value: Any) -> Any:
    return value["models"][1]["manifest"]["catalog"]


def set_to(pick: Callable[[Any], Any], name: str, new: Any) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        pick(value)[name] = new

    return change


def moved_to(path: str) -> Callable[[Any], None]:
    """The weights at another path, said by all who say it."""

    def change(value: Any) -> None:
        value["files"][path] = value["files"].pop(PATH)
        repo, _, rest = path.rpartition("/")
        for one in value["models"]:
            one["manifest"]["files"][0] |= {"repo": repo, "path": rest}

    return change


def all_of(*changes: Callable[[Any], None]) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        for each in changes:
            each(value)

    return change


def twice_as(path: str) -> Callable[[Any], None]:
    """The weights under another path, too."""

    def change(value: Any) -> None:
        value["files"][path] = copy.deepcopy(value["files"][PATH])

    return change


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return {"deep": value}


def itself(value: Any) -> Any:
    return value


NO_FILES: tuple[Any, ...] = ([], None, 1, {})
NO_MODELS: tuple[Any, ...] = ({}, None, [1], [None], [[]], ["x"])
HOSTILE: dict[str, Callable[[Any], None]] = {
    **{
        f"a path {path!r}": moved_to(path)
        for path in (
            "../../etc/passwd",
            "/etc/cron.d/x",
            "owner/../../x",
            "owner/repo/../../../x",
            "owner/repo",
            "x",
            "",
            "owner//x",
            ".windlass/receipts/x",
            ".WINDLASS/models/x.json",
            "owner/repo/a\\b",
            "owner/repo/C:x",
            "owner/repo/nul",
            "owner/repo/a\nb",
            "owner/repo/a\x00b",
            "owner/repo/" + "x" * 300,
            "catalog/repo/x.gguf",
            "sha256sums/repo/x.gguf",
            "Windlass-Export.json/repo/x.gguf",
            "owner/repo/\ud800",
        )
    },
    **{f"a size {size!r}"[:40]: set_to(files, "size", size) for size in (-1, 2**60, 10**300, 1.5, "7", True, None)},
    **{f"a version {number!r}": set_to(itself, "version", number) for number in (0, 2, 10**40, "1", True, 1.0, None)},
    **{f"files {wrong!r}": set_to(itself, "files", wrong) for wrong in NO_FILES},
    **{f"models {wrong!r}": set_to(itself, "models", wrong) for wrong in NO_MODELS},
    "another size in the manifest": lambda value: set_to(itself, "size", 8)(manifest(value)["files"][0]),
    "another digest in the manifest": lambda value: set_to(itself, "digest", {"algorithm": "sha256", "hex": "0" * 64})(
        manifest(value)["files"][0]
    ),
    "a role that is none": lambda value: set_to(itself, "role", "boss")(manifest(value)["files"][0]),
    "a commit that is none": lambda value: set_to(itself, "commit", "../main")(manifest(value)["files"][0]),
    "a size that is true": all_of(
        set_to(files, "size", 1), lambda value: set_to(itself, "size", True)(manifest(value)["files"][0])
    ),
    "a file twice": lambda value: manifest(value)["files"].append(manifest(value)["files"][0]),
    "a file that is not there": lambda value: value["files"].pop(PATH),
    "a repository without an owner": lambda value: value["models"][1]["manifest"]["files"][0].update(
        repo="owner", path=PATH.removeprefix("owner/")
    ),
    "the other kind of hash, of something else": all_of(
        set_to(files, "digest", {"algorithm": "git-sha1", "hex": "0" * 40}), set_to(files, "sha256", "0" * 64)
    ),
    "a commit of a record that is none": set_to(files, "commit", "main"),
    "no files": set_to(manifest, "files", []),
    "an unknown algorithm": set_to(files, "digest", {"algorithm": "md5", "hex": "0" * 32}),
    "a digest in capitals": set_to(files, "digest", {"algorithm": "sha256", "hex": "A" * 64}),
    "more than a digest": set_to(files, "digest", {"algorithm": "sha256", "hex": "0" * 64, "more": 1}),
    "two sums": set_to(files, "sha256", "0" * 64),
    "no sum": set_to(files, "sha256", None),
    "chunks of something": set_to(files, "chunks", ["../../../../x"]),
    "chunks that are none": set_to(files, "chunks", "0123456789abcdef"),
    "a source that draws": set_to(files, "source", "\x1b[2J"),
    "a source without end": set_to(files, "source", "x" * 100_000),
    "a model of another name": set_to(manifest, "id", "qwen/qwen3-4b"),
    "no id": set_to(manifest, "id", None),
    "an id that draws": set_to(manifest, "id", "owner/\x1b[31m"),
    "a quantization that is a number": set_to(manifest, "quantization", 0),
    "a format that is none": set_to(manifest, "format", "exe"),
    "a field too many": set_to(manifest, "run", "rm"),
    "a model twice": lambda value: value["models"].append(copy.deepcopy(value["models"][0])),
    "a catalog that leads out": set_to(catalog, "name", ".."),
    "a catalog with a path": set_to(catalog, "owner", "../../owner"),
    "a catalog of another": set_to(catalog, "name", "other"),
    "a catalog in capitals": set_to(catalog, "name", "M"),
    "a catalog of nothing": set_to(catalog, "model_yaml", None),
    "a catalog without end": set_to(catalog, "model_yaml", "x" * 2_000_000),
    "a catalog that no file can hold": set_to(catalog, "model_yaml", "\ud800"),
    "overrides that are none": lambda value: set_to(itself, "overrides", [])(value["models"][0]),
    "overrides without end": lambda value: set_to(itself, "overrides", {"x": "y" * 2_000_000})(value["models"][0]),
    "overrides that no answer can hold": lambda value: set_to(itself, "overrides", {"x": "\ud800"})(value["models"][0]),
    "deep overrides": lambda value: set_to(itself, "overrides", deep(200))(value["models"][0]),
    "a time that is none": lambda value: set_to(itself, "finished_at", 5)(value["models"][0]),
    "two files that are one on some disks": twice_as(PATH.upper()),
    "a file that is a folder of another": twice_as(f"{PATH}/x"),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_cannot_be_believed_is_refused(change: Callable[[Any], None]) -> None:
    """With one error, in words; and without the change the same text is read."""
    value = raw()
    read_export(json.dumps(value).encode())
    change(value)
    with pytest.raises(InvalidRequest, match="no manifest of an export that can be used") as caught:
        read_export(json.dumps(value).encode())
    assert len(str(caught.value)) < 400


NONSENSE = {
    "nothing": b"",
    "a list": b"[]",
    "null": b"null",
    "a number": b"1",
    "an empty object": b"{}",
    "half of it": b"{",
    "no text": b"\xff\xfe",
    "without end": b"[" * 99_999,
    "a long number": b"1" * 9_999,
    "a version alone": b'{"version": 1}',
    "a record that is none": b'{"version": 1, "models": [], "files": {"a/b/c": 1}}',
}


@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE.keys())
def test_what_is_no_manifest_is_refused(text: bytes) -> None:
    """Whatever it is."""
    with pytest.raises(InvalidRequest):
        read_export(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)
LIKELY: st.SearchStrategy[Any] = st.sampled_from(
    ["../x", "owner/repo/x", "", "0" * 64, "c" * 40, "\x1b", 0, -1, 2**60, True, None, [], {}]
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in JSON where something stands: its holder, and the key or number there."""
    inner = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    return [(value, key) for key, _ in inner] + [place for _, one in inner for place in places(one)]


@given(data=st.data())
def test_no_change_of_it_does_harm(data: st.DataObject) -> None:
    """Something else in any one place: refused, or all that is read is as safe as what we write ourselves."""
    value = raw()
    for _ in range(data.draw(st.integers(1, 2))):
        holder, key = data.draw(st.sampled_from(places(value)))
        holder[key] = data.draw(LIKELY | JSON)
    try:
        read = read_export(json.dumps(value).encode())
    except InvalidRequest:
        return
    assert read_export(write_export(read).encode()) == read
    for one in read.models:
        for file in one.manifest.files:
            assert safe_path(file.shelf_path)
            assert read.files[file.shelf_path].size == file.size in range(2**60)
        assert one.manifest.catalog in {None, ENTRY} or safe_path(one.manifest.catalog.id)


@pytest.mark.parametrize("what", ["link", "pipe", "folder", "huge"])
def test_it_is_a_plain_file_or_nothing(tmp_path: Path, what: str) -> None:
    """A link may lead to somebody's secrets, a pipe has no end."""
    path = tmp_path / "windlass-export.json"
    assert find_export(tmp_path) is None
    if what == "link":
        (tmp_path / "elsewhere").write_text(write_export(whole()))
        path.symlink_to(tmp_path / "elsewhere")
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(2**30)
    with pytest.raises(InvalidRequest):
        find_export(tmp_path)
    path.rmdir() if what == "folder" else path.unlink()
    path.write_text(write_export(whole()))
    assert find_export(tmp_path) == whole()
