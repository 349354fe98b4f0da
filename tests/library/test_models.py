"""Which models a shelf holds: by receipt what Windlass brought, by shape what others put there."""

import json
import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import calls
from library.shelving import Put, WriteGguf, bring, file_of, manifest_of, safetensors_bytes
from windlass.errors import ModelNotFound
from windlass.library.lists import openai_row, v0_row, v1_row
from windlass.library.shelf import Shelf
from windlass.manifest import CatalogEntry, ManifestFile

MLX = safetensors_bytes({"w": ("U32", [4], 16)}, {"format": "mlx"})
PLAIN = safetensors_bytes({"w": ("BF16", [4], 8)}, {"format": "pt"})
CONFIG = json.dumps({"model_type": "qwen3", "quantization": {"bits": 4}}).encode()
PLAIN_CONFIG = json.dumps({"model_type": "qwen3", "torch_dtype": "bfloat16"}).encode()


def index(*names: str) -> bytes:
    return json.dumps({"weight_map": dict(enumerate(names))}).encode()


# Files by name; a content of None stands for a real GGUF file. Then the keys of the models, and where the oddities are.
SHAPES: dict[str, tuple[dict[str, bytes | None], set[str], set[str]]] = {
    "nothing": ({}, set(), set()),
    "one file": ({"o/M-GGUF/M-Q4_K_M.gguf": None}, {"m"}, set()),
    "no label in its name": ({"o/M/model.gguf": None}, {"m"}, set()),
    "two quantizations": (
        {"o/M-GGUF/M-Q4_K_M.gguf": None, "o/M-GGUF/M-Q8_0.gguf": None},
        {"m@q4_k_m", "m@q8_0"},
        set(),
    ),
    "two publishers": ({"a/M-GGUF/M-Q8_0.gguf": None, "b/M-GGUF/M-Q8_0.gguf": None}, {"a/m", "b/m"}, set()),
    "two publishers, two quantizations": (
        {"a/M/M-Q8_0.gguf": None, "b/M/M-Q8_0.gguf": None, "b/M/M-Q2_K.gguf": None},
        {"a/m", "b/m@q8_0", "b/m@q2_k"},
        set(),
    ),
    "the same name in two folders": (
        {"o/M/a/M-Q8_0.gguf": None, "o/M/b/M-Q8_0.gguf": None},
        {"m@q8_0", "o/m@q8_0"},
        set(),
    ),
    "a whole set": ({f"o/M/M-Q8_0-0000{i}-of-00003.gguf": None for i in (1, 2, 3)}, {"m"}, set()),
    "a set with a gap": (
        {f"o/M/M-Q8_0-0000{i}-of-00003.gguf": None for i in (1, 3)},
        set(),
        {"o/M/M-Q8_0-00001-of-00003.gguf"},
    ),
    "a set with an empty shard": (
        {"o/M/M-Q8_0-00001-of-00002.gguf": None, "o/M/M-Q8_0-00002-of-00002.gguf": b""},
        set(),
        {"o/M/M-Q8_0-00002-of-00002.gguf"},
    ),
    "a set with a damaged shard": (
        {"o/M/M-Q8_0-00001-of-00002.gguf": None, "o/M/M-Q8_0-00002-of-00002.gguf": b"x"},
        set(),
        {"o/M/M-Q8_0-00002-of-00002.gguf"},
    ),
    "whole and in shards": (
        {"o/M/M-Q8_0.gguf": None, **{f"o/M/M-Q4_0-0000{i}-of-00002.gguf": None for i in (1, 2)}},
        {"m@q8_0", "m@q4_0"},
        set(),
    ),
    "a projector alone": ({"o/M/mmproj-F16.gguf": None}, set(), {"o/M"}),
    "decoys": ({"o/M/imatrix.gguf": None, "o/M/imatrix.dat": b"x", "o/M/mtp-M-Q8_0.gguf": None}, set(), {"o/M"}),
    "leftovers": (
        {
            "o/M/downloading_M-Q8_0.gguf": None,
            "o/M/M-Q8_0.gguf.part": None,
            "o/M/M-Q8_0.gguf.incomplete": None,
            "o/M/.M-Q8_0.gguf": None,
            "o/M/.cache/M-Q8_0.gguf": None,
            "o/.hidden/M-Q8_0.gguf": None,
            ".windlass/o/M-Q8_0.gguf": None,
        },
        set(),
        {"o/M/downloading_M-Q8_0.gguf", "o/M/M-Q8_0.gguf.part", "o/M/M-Q8_0.gguf.incomplete"},
    ),
    "an empty file": ({"o/M/M-Q8_0.gguf": b""}, set(), {"o/M/M-Q8_0.gguf"}),
    "a damaged file": ({"o/M/M-Q8_0.gguf": b"GGUF" + bytes(9)}, set(), {"o/M/M-Q8_0.gguf"}),
    "outside owner/repo": ({"M-Q8_0.gguf": None, "o/M-Q8_0.gguf": None}, set(), {"M-Q8_0.gguf", "o/M-Q8_0.gguf"}),
    "not a model at all": ({"o/M/README.md": b"x", "o/note.txt": b"x"}, set(), {"o/M", "o/note.txt"}),
    "hidden files alone": ({"o/M/.gitattributes": b"x", "o/.DS_Store": b"x", ".DS_Store": b"x"}, set(), set()),
    "what goes with a model": (
        {"o/M/M-Q8_0.gguf": None, "o/M/README.md": b"x", "o/M/imatrix.gguf": None},
        {"m"},
        set(),
    ),
    "a name that cannot be shown": ({"o/M/M\x1b-Q8_0.gguf": None}, set(), {"o/M/M\\x1b-Q8_0.gguf"}),
    "MLX": ({"o/M-4bit/config.json": CONFIG, "o/M-4bit/model.safetensors": MLX}, {"m-4bit"}, set()),
    "MLX with an index": (
        {
            "o/M/config.json": CONFIG,
            "o/M/model.safetensors.index.json": index("a.safetensors", "b.safetensors"),
            "o/M/a.safetensors": MLX,
            "o/M/b.safetensors": MLX,
        },
        {"m"},
        set(),
    ),
    "MLX with a shard missing": (
        {
            "o/M/config.json": CONFIG,
            "o/M/model.safetensors.index.json": index("a.safetensors", "b.safetensors"),
            "o/M/a.safetensors": MLX,
        },
        set(),
        {"o/M/model.safetensors.index.json"},
    ),
    "MLX with an index that cannot be read": (
        {"o/M/config.json": CONFIG, "o/M/model.safetensors.index.json": b"{", "o/M/a.safetensors": MLX},
        set(),
        {"o/M/model.safetensors.index.json"},
    ),
    "safetensors without an index, a shard missing": (
        {"o/M/config.json": PLAIN_CONFIG, "o/M/model-00001-of-00002.safetensors": PLAIN},
        set(),
        {"o/M/model-00001-of-00002.safetensors"},
    ),
    "a second layout of the same weights": (
        {"o/M/config.json": PLAIN_CONFIG, "o/M/model.safetensors": PLAIN, "o/M/consolidated.safetensors": b"x"},
        {"m"},
        set(),
    ),
    "weights without a config": ({"o/M/model.safetensors": PLAIN}, set(), {"o/M"}),
    "a damaged config": (
        {"o/M/config.json": b"{", "o/M/model.safetensors": PLAIN},
        set(),
        {"o/M/model.safetensors"},
    ),
    "GGUF and MLX in one repository": (
        {"o/M/config.json": CONFIG, "o/M/model.safetensors": MLX, "o/M/M-Q8_0.gguf": None},
        {"m@4bit", "m@q8_0"},
        set(),
    ),
}


@pytest.mark.parametrize(("files", "keys", "odd"), SHAPES.values(), ids=SHAPES.keys())
def test_shapes(
    shelf: Shelf, put: Put, gguf_bytes: WriteGguf, files: dict[str, bytes | None], keys: set[str], odd: set[str]
) -> None:
    """What others put on the shelf is a model when it is whole, and an oddity with a reason when it only looks so."""
    for path, content in files.items():
        put(path, gguf_bytes() if content is None else content)
    models = shelf.models()
    assert {model.key for model in models} == keys
    assert {oddity.path for oddity in shelf.oddities()} == odd
    assert not any(model.verified for model in models)
    assert all(oddity.reason for oddity in shelf.oddities())
    assert [model.key for model in Shelf(shelf.models_dir, shelf.models_dir).models()] == [m.key for m in models]


def test_what_is_handed_over(shelf: Shelf, put: Put, gguf_bytes: WriteGguf) -> None:
    """A program that runs a GGUF is given the first shard; one that runs MLX or safetensors, the folder."""
    for number in (2, 1):
        put(f"o/A/A-Q8_0-0000{number}-of-00002.gguf", gguf_bytes())
    put("o/B/config.json", CONFIG)
    put("o/B/model.safetensors", MLX)
    put("o/B/tokenizer.json")
    put("o/B/README.md")
    a, b = shelf.models()
    assert a.path == shelf.models_dir / "o/A/A-Q8_0-00001-of-00002.gguf"
    assert b.path == shelf.models_dir / "o/B"
    assert (a.found.format, b.found.format) == ("gguf", "mlx")
    assert [file.path for file in b.files] == ["o/B/model.safetensors", "o/B/config.json", "o/B/tokenizer.json"]


@pytest.mark.parametrize(
    ("config", "weights", "repo", "kind"),
    [(CONFIG, MLX, "M", "mlx"), (PLAIN_CONFIG, PLAIN, "M", "safetensors"), (PLAIN_CONFIG, PLAIN, "M-MLX", "mlx")],
)
def test_mlx_is_told_from_other_safetensors(
    shelf: Shelf, put: Put, config: bytes, weights: bytes, repo: str, kind: str
) -> None:
    """MLX is known by its quantization, by what its writer says, or by the repository's name."""
    put(f"o/{repo}/config.json", config)
    put(f"o/{repo}/model.safetensors", weights)
    assert [model.found.format for model in shelf.models()] == [kind]


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        (["mmproj-BF16.gguf", "mmproj-F16.gguf", "mmproj-F32.gguf"], "mmproj-F16.gguf"),
        (["mmproj-BF16.gguf", "mmproj-Q8_0.gguf"], "mmproj-BF16.gguf"),
        (["M.mmproj-Q8_0.gguf"], "M.mmproj-Q8_0.gguf"),
        ([], None),
    ],
)
def test_a_projector_goes_along(
    shelf: Shelf, put: Put, gguf_bytes: WriteGguf, there: list[str], chosen: str | None
) -> None:
    """One projector makes a vision model: F16, else BF16, else what there is."""
    for name in ("M-Q8_0.gguf", *there):
        put(f"o/M/{name}", gguf_bytes())
    (model,) = shelf.models()
    assert model.vision is (chosen is not None)
    assert [file.path for file in model.files if file.role == "projector"] == ([f"o/M/{chosen}"] if chosen else [])


def test_a_projector_beside_goes_before_one_at_the_root(shelf: Shelf, put: Put, gguf_bytes: WriteGguf) -> None:
    """Where folders hold variants, each has its own projector; the root's serves those without."""
    for name in ("a/M-Q8_0.gguf", "a/mmproj-F32.gguf", "b/M-Q4_0.gguf", "mmproj-F16.gguf"):
        put(f"o/M/{name}", gguf_bytes())
    chosen = {model.quantization: model.files[1].path for model in shelf.models()}
    assert chosen == {"Q8_0": "o/M/a/mmproj-F32.gguf", "Q4_0": "o/M/mmproj-F16.gguf"}


def test_a_head_may_say_that_it_is_no_model(shelf: Shelf, put: Put, gguf_bytes: WriteGguf) -> None:
    """A projector, adapter or importance matrix under a model's name is told by its head."""
    put("o/M/vision.gguf", gguf_bytes("clip"))
    put("o/M/lora.gguf", gguf_bytes(general__type="adapter"))
    assert shelf.models() == []
    assert [reason for _, reason in shelf.oddities()] == [
        "its head says that it is no model: adapter",
        "its head says that it is no model: projector",
    ]


def finish(shelf: Shelf, contents: dict[str, bytes], **more: Any) -> tuple[ManifestFile, ...]:
    """Bring a whole model as a pull does."""
    files = tuple(
        file_of(content, path, role="projector" if "mmproj" in path else "weights")
        for path, content in contents.items()
    )
    for file, content in zip(files, contents.values(), strict=True):
        bring(shelf, file, content)
    overrides = more.pop("overrides", None)
    shelf.finish(manifest_of(*files, **more), overrides)
    return files


def test_a_model_that_windlass_brought(shelf: Shelf) -> None:
    """It is listed as the manifest has it, verified, even if its head cannot be read: its hash agreed."""
    finish(shelf, {"M-Q4_K_M.gguf": b"not a head", "mmproj-F16.gguf": b"nor this"}, display_name="My Model")
    (model,) = shelf.models()
    assert (model.key, model.verified, model.vision, model.found.display_name) == ("m", True, True, "My Model")
    assert model.size_bytes == 18
    assert shelf.oddities() == []


def test_a_model_that_is_finished_again_renames_nothing(tmp_path: Path) -> None:
    """The first of two quantizations has the plain name, also after it was asked for once more.

    `rm NAME` and `path NAME` must go on meaning the same file.
    """
    now = [1_700_000_000.0]
    shelf = Shelf(tmp_path / "models", tmp_path / "lmstudio", lambda: now[0])
    entry = CatalogEntry("qwen", "m", "model: qwen/m", "{}")
    for quantization in ("Q4_K_M", "Q8_0", "Q4_K_M"):
        content = quantization.encode()
        file = file_of(content, f"M-{quantization}.gguf")
        bring(shelf, file, content)
        shelf.finish(manifest_of(file, catalog=entry, id="qwen/m", quantization=quantization))
        now[0] += 3600
    assert {model.key: model.quantization for model in shelf.models()} == {"qwen/m": "Q4_K_M", "qwen/m@q8_0": "Q8_0"}


def test_one_file_that_is_no_weights(shelf: Shelf) -> None:
    """What was asked for by the address of one file is kept, but without weights it is no model, and takes no key."""
    file = file_of(b"{}", "config.json", role="data")
    bring(shelf, file, b"{}")
    shelf.finish(manifest_of(file, format="safetensors", quantization=None, subset="config.json"))
    assert shelf.models() == []


def test_weights_without_a_config(shelf: Shelf) -> None:
    """Safetensors that Windlass brought are listed even where config.json, which tells of them, was not among them."""
    finish(shelf, {"model.safetensors": PLAIN}, format="safetensors", quantization="BF16")
    (model,) = shelf.models()
    assert (model.quantization, model.bits_per_weight, model.architecture) == ("BF16", 16, None)


def test_what_is_not_finished_is_not_listed(shelf: Shelf, gguf_bytes: WriteGguf) -> None:
    """A file of a job under way is whole, yet no model: its projector may still be on the way."""
    content = gguf_bytes()
    file = file_of(content)
    bring(shelf, file, content)
    assert shelf.models() == []
    assert "not finished" in shelf.oddities()[0].reason
    shelf.finish(manifest_of(file))
    assert [model.verified for model in shelf.models()] == [True]


@pytest.mark.parametrize("lost", ["M-Q4_K_M-00001-of-00002.gguf", "M-Q4_K_M-00002-of-00002.gguf", "mmproj-F16.gguf"])
@pytest.mark.parametrize("how", ["gone", "shorter"])
def test_a_model_that_lost_a_file(shelf: Shelf, gguf_bytes: WriteGguf, lost: str, how: str) -> None:
    """With any file gone or changed in size it is no longer a model, nor is what is left of it; the reason names it."""
    names = ["M-Q4_K_M-00001-of-00002.gguf", "M-Q4_K_M-00002-of-00002.gguf", "mmproj-F16.gguf"]
    finish(shelf, dict.fromkeys(names, gguf_bytes()))
    assert len(shelf.models()) == 1
    place = shelf.models_dir / "owner/M-GGUF" / lost
    place.unlink() if how == "gone" else place.write_bytes(b"x")
    assert shelf.models() == []
    assert [(path, lost in reason) for path, reason in shelf.oddities()] == [("owner/M-GGUF", True)]


def test_what_a_person_put_in_the_place_of_a_file(shelf: Shelf, put: Put, gguf_bytes: WriteGguf) -> None:
    """A receipt without its model hides a file only as long as it is still the one that was fetched."""
    bring(shelf, file_of(b"abc"), b"abc")
    put("owner/M-GGUF/M-Q4_K_M.gguf", gguf_bytes())
    assert [(model.key, model.verified) for model in shelf.models()] == [("m", False)]


def test_a_disk_in_trouble_is_asked_again(
    shelf: Shelf, put: Put, gguf_bytes: WriteGguf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a file could not be opened is said, and not kept: the next list tries again, as does the next process."""

    def refuse(path: Path) -> None:
        raise PermissionError(13, "no")

    put("o/M/M-Q8_0.gguf", gguf_bytes())
    with monkeypatch.context() as patch:
        patch.setattr("windlass.library.inventory.read_gguf", refuse)
        assert shelf.models() == []
        assert shelf.oddities() == [("o/M/M-Q8_0.gguf", "it cannot be read: Permission denied")]
    assert len(shelf.models()) == len(Shelf(shelf.models_dir, shelf.models_dir).models()) == 1


def test_a_model_that_is_gone_is_forgotten(shelf: Shelf) -> None:
    """Where nothing of a model is left, there is nothing odd about it."""
    for file in finish(shelf, {"M-Q4_K_M.gguf": b"abc"}):
        shelf.path_of(file).unlink()
    assert (shelf.models(), shelf.oddities()) == ([], [])


def test_a_model_that_was_touched_is_unverified(shelf: Shelf) -> None:
    """It is still listed, for all its files are there, but no longer as verified."""
    (file,) = finish(shelf, {"M-Q4_K_M.gguf": b"abc"})
    os.utime(shelf.path_of(file), ns=(5, 5))
    assert [model.verified for model in shelf.models()] == [False]
    assert shelf.adopt(file)
    assert [model.verified for model in shelf.models()] == [True]


def test_other_bytes_of_the_same_size(shelf: Shelf) -> None:
    """A file that a later manifest replaced with one of the same size is not the earlier model's any more."""
    finish(shelf, {"M-Q4_K_M.gguf": b"abc"}, quantization="old")
    finish(shelf, {"M-Q4_K_M.gguf": b"xyz"}, quantization="new")
    assert [model.quantization for model in shelf.models()] == ["new"]
    assert "owner/M-GGUF@old is not whole" in shelf.oddities()[0].reason


def test_one_row_for_the_same_weights(shelf: Shelf) -> None:
    """What came both by the catalog and by its repository is one model, under the catalog's name."""
    entry = CatalogEntry("qwen", "m", "model: qwen/m", "{}")
    finish(shelf, {"M-Q4_K_M.gguf": b"abc"})
    finish(shelf, {"M-Q4_K_M.gguf": b"abc"}, id="qwen/m", publisher="qwen", catalog=entry)
    assert [model.key for model in shelf.models()] == ["qwen/m"]
    assert shelf.find("owner/M-GGUF").key == "qwen/m"


def test_what_was_adopted_by_hand_stays(shelf: Shelf, put: Put, gguf_bytes: WriteGguf) -> None:
    """A person's file that was hashed without a job stays a model, and is now verified."""
    content = gguf_bytes()
    put("owner/M-GGUF/M-Q4_K_M.gguf", content)
    assert [model.verified for model in shelf.models()] == [False]
    assert shelf.adopt(file_of(content))
    assert [model.verified for model in shelf.models()] == [True]


def test_links_are_followed(shelf: Shelf, gguf_bytes: WriteGguf, tmp_path: Path) -> None:
    """Linked files, repositories and owners are seen; links to nothing and circles are odd."""
    real = tmp_path / "real/M"
    real.mkdir(parents=True)
    (real / "M-Q8_0.gguf").write_bytes(gguf_bytes())
    (real / "circle").symlink_to(real)
    (shelf.models_dir / "linked").symlink_to(tmp_path / "real")
    (shelf.models_dir / "o/F").mkdir(parents=True)
    (shelf.models_dir / "o/R").symlink_to(real)
    (shelf.models_dir / "o/F/F-Q8_0.gguf").symlink_to(real / "M-Q8_0.gguf")
    (shelf.models_dir / "o/F/G-Q8_0.gguf").symlink_to(tmp_path / "nothing")
    assert [model.key for model in shelf.models()] == ["f", "m", "r"]
    assert shelf.oddities() == [
        ("linked/M/circle", "it leads back to a folder that it stands in"),
        ("o/F/G-Q8_0.gguf", "it is a link to nothing"),
        ("o/R/circle", "it leads back to a folder that it stands in"),
    ]


def test_no_models_folder_is_no_model(tmp_path: Path) -> None:
    """A models folder that is not there holds nothing, and is not made by looking."""
    shelf = Shelf(tmp_path / "gone", tmp_path)
    assert (shelf.models(), shelf.oddities()) == ([], [])
    assert not (tmp_path / "gone").exists()
    with pytest.raises(ModelNotFound):
        shelf.find("anything")


@pytest.mark.parametrize("garbage", [b"", b"\xff\xfe", b"{}", b"0000000000000000\n{}", b"x\n[[["])
def test_a_damaged_cache_changes_nothing(shelf: Shelf, put: Put, gguf_bytes: WriteGguf, garbage: bytes) -> None:
    """Whatever stands in the cache's place, the list is the same, and the cache is mended."""
    put("o/M/M-Q8_0.gguf", gguf_bytes())
    before = shelf.models()
    cache = shelf.private_dir / "heads.json"
    good = cache.read_bytes()
    cache.write_bytes(garbage)
    assert Shelf(shelf.models_dir, shelf.models_dir).models() == before
    assert cache.read_bytes() == good


def test_a_cache_that_cannot_be_written_changes_nothing(shelf: Shelf, put: Put, gguf_bytes: WriteGguf) -> None:
    """On a disk that refuses Windlass its own folder, all is still listed."""
    put("o/M/M-Q8_0.gguf", gguf_bytes())
    put(".windlass", b"a file in the way")
    assert [model.key for model in shelf.models()] == ["m"]


def test_heads_are_read_once(shelf: Shelf, put: Put, gguf_bytes: WriteGguf) -> None:
    """A file whose size and time are as they were is not opened again, in this process or the next."""
    place = put("o/M/M-Q8_0.gguf", gguf_bytes(name="one"))
    stamp = place.stat().st_mtime_ns
    before = shelf.models()
    place.write_bytes(bytes(place.stat().st_size))
    os.utime(place, ns=(stamp, stamp))
    assert shelf.models() == before
    assert Shelf(shelf.models_dir, shelf.models_dir).models() == before
    os.utime(place)
    assert shelf.models() == []


def test_an_answer_is_the_callers_own(shelf: Shelf, put: Put, gguf_bytes: WriteGguf) -> None:
    """A caller may do with the list what it likes: the next one is whole again."""
    put("o/M/M-Q8_0.gguf", gguf_bytes())
    shelf.models().clear()
    assert len(shelf.models()) == 1


def test_two_thousand_models_are_listed_with_little_work(shelf: Shelf, put: Put, gguf_bytes: WriteGguf) -> None:
    """A warm list looks into no file again, and does a bounded number of things for each model."""
    content = gguf_bytes()
    for number in range(2000):
        put(f"o{number % 20}/M{number}-GGUF/M{number}-Q4_K_M.gguf", content)
    cold = calls(shelf.models)
    warm = calls(shelf.models)
    assert len(shelf.models()) == 2000
    assert cold < 600 * 2000
    assert warm < 20 * 2000


NAMES = st.sampled_from(
    ["config.json", "model.safetensors", "model.safetensors.index.json", "M-Q8_0.gguf", "mmproj-F16.gguf", "a", ".b"]
    + [f"M-Q4_0-0000{number}-of-00002.gguf" for number in (1, 2)]
)
CONTENTS = st.one_of(st.binary(max_size=40), st.sampled_from([CONFIG, MLX, PLAIN, index("model.safetensors")]))


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.lists(NAMES, min_size=1, max_size=4).map("/".join), CONTENTS, max_size=8))
def test_any_shelf(files: dict[str, bytes]) -> None:
    """Whatever stands on a shelf, a list is made, each file it names is there, and each key leads back to its model."""
    with TemporaryDirectory() as folder:
        shelf = Shelf(Path(folder), Path(folder))
        for path, content in files.items():
            place = shelf.models_dir / "o" / path
            with suppress(OSError):  # one name may be a file here and a folder there
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
        for model in shelf.models():
            assert all((shelf.models_dir / file.path).stat().st_size == file.size for file in model.files)
            assert model.path.exists()
            assert shelf.find(model.key) == model
            json.dumps([v1_row(model), v0_row(model), openai_row(model)])
        assert all(reason for _, reason in shelf.oddities())


def test_what_stands_beside_the_weights_is_read_anew(shelf: Shelf, put: Put) -> None:
    """A template that comes, is mended or goes, and what makes an embedding model: the next list knows, in any process.

    Also where the mended one is as long as the other and older than the weights.
    """
    put("o/M/config.json", CONFIG)
    put("o/M/model.safetensors", MLX)

    def told() -> list[tuple[bool, bool]]:
        models, others = shelf.models(), Shelf(shelf.models_dir, shelf.models_dir).models()
        assert models == others
        return [(model.tool_use, model.type == "embedding") for model in models]

    assert told() == [(False, False)]
    template = put("o/M/chat_template.jinja", b"{{ tools }}")
    assert told() == [(True, False)]
    template.write_bytes(b"{{ texts }}")
    os.utime(template, ns=(5, 5))
    assert told() == [(False, False)]
    template.unlink()
    for name in ("chat_template.json", "tokenizer_config.json"):
        other = put(f"o/M/{name}", b'{"chat_template": "{{ tools }}"}')
        assert told() == [(True, False)]
        other.unlink()
        assert told() == [(False, False)]
    put("o/M/modules.json", b"[]")
    assert told() == [(False, True)]
