"""What others left among the models: each is told with its reason, none is waited for, and none hides a model."""

import json
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from effort import calls
from library.shelving import Put, WriteGguf, bring, file_of, manifest_of, safetensors_bytes
from windlass.library import stock
from windlass.library.facts import ShelfFile, describe
from windlass.library.lists import v1_row
from windlass.library.opening import open_file
from windlass.library.receipts import ModelReceipt
from windlass.library.shelf import Shelf
from windlass.library.survey import found_of

WEIGHTS = safetensors_bytes({"w": ("BF16", [4], 8)})
GGUF = struct.Struct("<4sIQQ")


def file(content: bytes) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        place.write_bytes(content)

    return make


def sparse(size: int) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        with place.open("wb") as hole:
            hole.truncate(size)

    return make


def link(target: str) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        place.symlink_to(target)

    return make


def pipe(place: Path) -> None:
    os.mkfifo(place)


def bound_socket(place: Path) -> None:
    here = Path.cwd()
    os.chdir(place.parent)  # a socket's address may be no longer than 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(place.name)
    finally:
        os.chdir(here)


# Where it stands, how it is made, and the end of the only oddity: its path where it is not the same, and its reason.
ODD: dict[str, tuple[str, Callable[[Path], None], str, str]] = {
    "cut short": ("o/M/M-Q8_0.gguf", file(GGUF.pack(b"GGUF", 3, 1, 1)), "", "it is cut short"),
    "absurd counts": ("o/M/M-Q8_0.gguf", file(GGUF.pack(b"GGUF", 3, 2**60, 2**63)), "", "which no model has"),
    "another magic": ("o/M/M-Q8_0.gguf", file(b"<!DOCTYPE html>" * 9), "", "does not begin as a GGUF file does"),
    "a hole of a gigabyte": ("o/M/M-Q8_0.gguf", sparse(2**30), "", "does not begin as a GGUF file does"),
    "empty": ("o/M/M-Q8_0.gguf", file(b""), "", "it is empty"),
    "a folder for a file": ("o/M/M-Q8_0.gguf", Path.mkdir, "", "it is a folder, where a file is expected"),
    "a folder for a config": ("o/M/config.json", Path.mkdir, "", "it is a folder, where a file is expected"),
    "a link to nothing": ("o/M/M-Q8_0.gguf", link("nowhere"), "", "it is a link to nothing"),
    "a link to itself": ("o/M/M-Q8_0.gguf", link("M-Q8_0.gguf"), "", "it is a link that leads in a circle"),
    "a link to its folder": ("o/M/sub", link("."), "", "it leads back to a folder that it stands in"),
    "a repository of all": ("o/M", link(".."), "", "it leads back to a folder that it stands in"),
    "an owner of all": ("o", link("."), "", "it leads back to a folder that it stands in"),
    "an owner of the disk": ("o", link("/"), "", "it leads back to a folder that it stands in"),
    "a pipe": ("o/M/M-Q8_0.gguf", pipe, "", "it is a pipe"),
    "a pipe for an owner": ("o", pipe, "", "it is a pipe"),
    "a socket": ("o/M/M-Q8_0.gguf", bound_socket, "", "it is a socket"),
    "a device": ("o/M/M-Q8_0.gguf", link("/dev/zero"), "", "it is a device"),
    "a shard of two": ("o/M/M-Q8_0-00001-of-00002.gguf", file(b"x"), "", "1 of the 2 shards"),
    "a leftover": ("o/M/M-Q8_0.gguf.part", file(b"x"), "", "another program has not finished bringing it"),
    "a leftover of others": ("o/x.tmp", file(b"x"), "", "another program has not finished bringing it"),
    "foreign": ("o/M/notes.pdf", file(b"x"), "o/M", "nothing in it is a model's weights"),
    "foreign, misplaced": ("notes.pdf", file(b"x"), "", "it is no model"),
    "misplaced": ("M.gguf", file(b"x"), "", "`windlass import` moves it"),
    "an adapter alone": ("o/M/adapter.safetensors", file(b"x"), "o/M", "no config.json"),
    "not UTF-8": (os.fsdecode(b"o/M/M\xff.gguf"), file(b"x"), r"o/M/M\udcff.gguf", "its name cannot be shown"),
    "an owner not UTF-8": (os.fsdecode(b"\xfe\xff"), Path.mkdir, r"\udcfe\udcff", "its name cannot be shown"),
    "a line feed": ("o/M/M\n.gguf", file(b"x"), r"o/M/M\n.gguf", "its name cannot be shown"),
}  # fmt: skip


@pytest.mark.parametrize(("place", "make", "path", "reason"), ODD.values(), ids=ODD.keys())
def test_each_is_told_with_its_reason(
    shelf: Shelf,
    put: Put,
    gguf_bytes: WriteGguf,
    place: str,
    make: Callable[[Path], None],
    path: str,
    reason: str,
) -> None:
    """Alone beside a good model, which is listed all the same, it is the one oddity."""
    put("good/Good/Good-Q8_0.gguf", gguf_bytes())
    (shelf.models_dir / place).parent.mkdir(parents=True, exist_ok=True)
    make(shelf.models_dir / place)
    assert [model.key for model in shelf.models()] == ["good"]
    [odd] = shelf.oddities()
    assert odd.path == (path or place)
    assert reason in odd.reason


CONFIGS = {
    "huge": b'{"a":"' + b"x" * 2**24 + b'"}',
    "deep": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "full": b'{"a":[' + b"[]," * 1_000_000 + b"[]]}",
    "no JSON": b"\xff\xfe{",
    "no object": b"[]",
    "a number without end": b'{"max_position_embeddings":' + b"9" * 100_000 + b"}",
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_a_config_that_is_none(shelf: Shelf, put: Put, config: bytes) -> None:
    """Its weights are told as odd, and that it is config.json's doing."""
    put("o/M/model.safetensors", WEIGHTS)
    put("o/M/config.json", config)
    assert shelf.models() == []
    [(path, reason)] = shelf.oddities()
    assert path == "o/M/model.safetensors"
    assert reason.startswith("the config.json beside it is none: it ")


@pytest.mark.parametrize("name", ["chat_template.jinja", "chat_template.json", "tokenizer_config.json", "modules.json"])
def test_a_pipe_beside_the_weights_is_not_waited_for(shelf: Shelf, put: Put, name: str) -> None:
    """Where a model's template should be: the model is listed without one."""
    put("o/M/model.safetensors", WEIGHTS)
    put("o/M/config.json", b"{}")
    pipe(shelf.models_dir / "o/M" / name)
    assert [model.key for model in shelf.models()] == ["m"]
    assert shelf.oddities() == [(f"o/M/{name}", "it is a pipe")]


@pytest.mark.parametrize("make", [pipe, link("nowhere"), link("x.json"), link("/dev/zero"), Path.mkdir])
@pytest.mark.parametrize("name", ["models/x.json", "receipts/o/M-GGUF/M-Q4_K_M.gguf.json", "heads.json"])
def test_nor_is_one_among_what_is_written_down(shelf: Shelf, name: str, make: Callable[[Path], None]) -> None:
    """In the place of a receipt or of the cache it counts as none, and the other receipts are read."""
    other = file_of(b"abc", repo="other/M-GGUF")
    bring(shelf, other, b"abc")
    shelf.finish(manifest_of(other))
    place = shelf.private_dir / name
    place.parent.mkdir(parents=True, exist_ok=True)
    make(place)
    assert [(model.key, model.verified) for model in shelf.models()] == [("m", True)]
    assert shelf.receipts.read("o/M-GGUF/M-Q4_K_M.gguf") is None
    assert len(shelf.receipts.models()) == 1


@pytest.mark.parametrize("make", [pipe, Path.mkdir, link("/dev/null"), bound_socket])
def test_what_is_no_file_is_not_opened(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """It is refused at once, and nothing of it is left open."""
    make(tmp_path / "x")
    before = len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(OSError, match=r"x|No such"):
        open_file(tmp_path / "x")
    assert len(list(Path("/dev/fd").iterdir())) == before


@contextmanager
def without_roots_rights(folder: Path) -> Iterator[None]:
    """As somebody to whom the folder belongs, where root runs the tests, who may read everything."""
    if os.geteuid():
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_may_not_be_read(gguf_bytes: WriteGguf) -> None:
    """Files and folders without the right to read them are told so; what stands beside them is listed."""
    with TemporaryDirectory() as folder:  # not pytest's own, which is below one that nobody else may enter
        root = Path(folder)
        file_, beside, below = root / "o/M/M-Q8_0.gguf", root / "o/N/N-Q8_0.gguf", root / "p/secret/P-Q8_0.gguf"
        for path in (file_, beside, below):
            path.parent.mkdir(parents=True)
            path.write_bytes(gguf_bytes())
        with without_roots_rights(root):
            file_.chmod(0)
            below.parent.chmod(0)
            shelf = Shelf(root, root)
            assert [model.key for model in shelf.models()] == ["n"]
            assert shelf.oddities() == [
                ("o/M/M-Q8_0.gguf", "it cannot be read: Permission denied"),
                ("p/secret", "it cannot be read: Permission denied"),
            ]
            below.parent.chmod(0o700)


def test_folders_beyond_counting(shelf: Shelf, put: Put, gguf_bytes: WriteGguf) -> None:
    """Links among folders that multiply with each level are each followed once: the work stays small."""
    for level in range(7):
        folder = shelf.models_dir / f"o/M/{level}"
        folder.mkdir(parents=True)
        for number in range(10):
            (folder / f"to{number}").symlink_to(f"../{level + 1}")
    put("o/M/7/M-Q8_0.gguf", gguf_bytes())
    assert calls(shelf.models) < 50_000  # there are ten million ways from the first to the last
    assert {model.path.name for model in shelf.models()} == {"M-Q8_0.gguf"}
    assert {reason for _, reason in shelf.oddities()} == {"it leads to a folder that another link leads to"}


def test_a_folder_too_deep(shelf: Shelf, put: Put, gguf_bytes: WriteGguf) -> None:
    """Below eight folders nothing is looked for, and that is said."""
    put("o/M/1/2/3/4/5/6/7/8/M-Q8_0.gguf", gguf_bytes())
    put("o/M/1/2/3/4/5/6/7/8/9/N-Q8_0.gguf", gguf_bytes())
    assert len(shelf.models()) == 1
    assert [path for path, _ in shelf.oddities()] == ["o/M/1/2/3/4/5/6/7/8/9"]


def test_more_files_than_a_model_has(shelf: Shelf, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository that is a whole disk is given up, and that is said."""
    monkeypatch.setattr(stock, "_MOST", 10)
    for number in range(20):
        put(f"o/M/{number % 3}/{number}.txt")
    reasons = [reason for path, reason in shelf.oddities() if path == "o/M"]
    assert reasons == ["it holds more than 10 files: the others are not looked at"]


def test_a_models_folder_that_is_none(tmp_path: Path) -> None:
    """A file in its place holds nothing; the path is that of the folder itself."""
    (tmp_path / "models").write_bytes(b"x")
    shelf = Shelf(tmp_path / "models", tmp_path)
    assert (shelf.models(), shelf.oddities()) == ([], [(".", "it cannot be read: Not a directory")])


def test_half_a_character_is_shown_nowhere() -> None:
    """JSON may hold one, and then no answer with it could be sent: it counts as if nothing had been said."""
    told = {"description": "\ud800", "paramsStrings": ["8B\udfff", "9B"], "architectures": ["\ud800"]}
    manifest, files = manifest_of(file_of(b"abc")), (ShelfFile("o/M/M.gguf", 3, "weights", False),)
    model = describe(found_of(ModelReceipt(manifest, "", told), files, Path("models")), None)
    assert (model.description, model.params_string, model.architecture) == (None, "9B", None)
    assert json.dumps(v1_row(model), ensure_ascii=False).encode()
