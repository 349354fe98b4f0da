"""Receipts: kept whole, read back equal, and worth nothing once damaged."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from library.shelving import file_of, manifest_of
from windlass.library.receipts import ModelReceipt, Receipt, Receipts, read_model, slug
from windlass.manifest import CatalogEntry

RECEIPT = Receipt.of(
    file_of(b"abc"), source="https://hub.example", verified_at="2026-01-02T03:04:05.678Z", chunks=("0123456789abcdef",)
)


@pytest.fixture
def receipts(tmp_path: Path) -> Receipts:
    return Receipts(tmp_path)


def test_a_receipt_is_read_back(receipts: Receipts) -> None:
    """What was written is what is read, beside a shelf path with folders, and can be forgotten, twice too."""
    receipts.write("o/r/sub/x.gguf", RECEIPT)
    assert receipts.read("o/r/sub/x.gguf") == RECEIPT
    receipts.forget("o/r/sub/x.gguf")
    receipts.forget("o/r/sub/x.gguf")
    assert receipts.read("o/r/sub/x.gguf") is None


def test_what_is_on_disk(receipts: Receipts) -> None:
    """A receipt can be read by people and other programs: algorithm, digest, size, source, revision, time, chunks."""
    receipts.write("o/r/x", RECEIPT)
    assert json.loads((receipts.models_dir / ".windlass/receipts/o/r/x.json").read_text()) == {
        "version": 1,
        "digest": {"algorithm": "sha256", "hex": RECEIPT.digest.hex},
        "size": 3,
        "mtime_ns": 0,
        "source": "https://hub.example",
        "repo": "owner/M-GGUF",
        "commit": "c" * 40,
        "path": "M-Q4_K_M.gguf",
        "verified_at": "2026-01-02T03:04:05.678Z",
        "chunks": ["0123456789abcdef"],
        "adopted": False,
        "damaged": False,
        "chunk_size": 16 * 1024 * 1024,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"digest": "ab"},
        {"digest": {"hex": "ab"}},
        {"size": "3"},
        {"mtime_ns": None},
        {"surplus": 1},
        {"chunks": 5},
        {"chunks": ["\ud800"]},
        {"digest": {"algorithm": "sha256", "hex": [[]]}},
        {"repo": None},
        {"source": "\udfff"},
        {"adopted": "no"},
    ],
)
def test_a_damaged_receipt_is_none(receipts: Receipts, change: dict[str, Any]) -> None:
    """A receipt that does not read exactly as written counts as absent."""
    receipts.write("o/r/x", RECEIPT)
    path = receipts.path("o/r/x")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert receipts.read("o/r/x") is None


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "{}", "[" * 100_000, "\x00", "\ud800"])
def test_garbage_is_none(receipts: Receipts, text: str) -> None:
    """Any garbage counts as absent, for files and for models."""
    receipts.write("o/r/x", RECEIPT)
    receipts.path("o/r/x").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert receipts.read("o/r/x") is None
    assert read_model(receipts.path("o/r/x")) is None


def test_chunks_of_another_size_are_not_believed(receipts: Receipts) -> None:
    """The digests of chunks of another size would show damage everywhere, so they are left out."""
    receipts.write("o/r/x", RECEIPT)
    path = receipts.path("o/r/x")
    path.write_text(path.read_text().replace('"chunk_size":16777216', '"chunk_size":1000'))
    found = receipts.read("o/r/x")
    assert found is not None
    assert found.chunks == ()


def test_a_receipt_counts_while_nothing_changed() -> None:
    """Size and time must both be as they were."""
    assert RECEIPT.agrees(3, 0)
    assert not RECEIPT.agrees(4, 0)
    assert not RECEIPT.agrees(3, 1)


def test_a_models_receipt_is_read_back(receipts: Receipts) -> None:
    """The manifest, its catalog texts and the overrides come back equal; forgetting is for one model only."""
    entry = CatalogEntry("qwen", "qwen3", "model: qwen/qwen3", "{}")
    receipt = ModelReceipt(manifest_of(file_of(b"abc"), catalog=entry), "2026-01-01T00:00:00.000Z", {"vision": True})
    other = ModelReceipt(manifest_of(file_of(b"abc"), quantization="Q8_0"), "2026-01-01T00:00:00.000Z")
    receipts.write_model(receipt)
    receipts.write_model(other)
    receipts.forget_model(other.manifest)
    assert [read_model(path) for path in receipts.models_folder.iterdir()] == [receipt]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (r"\"id\":\"owner/M-GGUF\"", r"\"id\":5"),
        (r"\"size\":3", r"\"size\":\"3\""),
        (r"\"repo\":\"owner/M-GGUF\"", r"\"repo\":\"/owner/M-GGUF\""),
        (r"\"repo\":\"owner/M-GGUF\"", r"\"repo\":\"../M-GGUF\""),
        (r"\"repo\":\"owner/M-GGUF\"", r"\"repo\":\"owner\""),
        (r"\"path\":\"M-Q4_K_M.gguf\"", r"\"path\":\"../../../x\""),
        (r"\"path\":\"M-Q4_K_M.gguf\"", r"\"path\":\"/etc/passwd\""),
        (r"\"display_name\":\"M-GGUF\"", r"\"display_name\":\"\\ud800\""),
        ('"overrides":{}', '"overrides":5'),
        ('"version":1', '"version":2'),
    ],
)
def test_a_damaged_models_receipt_is_none(receipts: Receipts, before: str, after: str) -> None:
    """A model's receipt with a value of the wrong type counts as absent."""
    receipts.write_model(ModelReceipt(manifest_of(file_of(b"abc")), "2026-01-01T00:00:00.000Z"))
    (path,) = receipts.models_folder.iterdir()
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    assert read_model(path) is None


def test_a_receipt_too_large_is_none(receipts: Receipts) -> None:
    """A file of more bytes than any receipt has is not read into memory."""
    receipts.write("o/r/x", RECEIPT)
    with receipts.path("o/r/x").open("r+b") as file:
        file.truncate(65 * 1024 * 1024)
    assert receipts.read("o/r/x") is None


@given(st.text(), st.text())
def test_slugs(one: str, other: str) -> None:
    """A slug is a safe file name on every system, and two keys never share one."""
    assert (slug(one) == slug(other)) == (one == other)
    assert len(slug(one)) <= 113
    assert not set(slug(one)) - set("abcdefghijklmnopqrstuvwxyz0123456789._@-")
    assert not slug(one).startswith(".")
