"""The manifest as a value: what it says of itself, and that it survives being written down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample import entry, file_of, manifest_of
from windlass.manifest import CatalogEntry, Digest, Manifest, ManifestFile

texts = st.text(max_size=20)
digests = st.builds(Digest, st.sampled_from(["sha256", "git-sha1"]), texts)
files = st.builds(
    ManifestFile,
    texts,
    texts,
    texts,
    st.integers(0, 1 << 50),
    digests,
    st.sampled_from(["weights", "projector", "data"]),
)
manifests = st.builds(
    Manifest,
    *[texts] * 4,
    st.sampled_from(["gguf", "mlx", "safetensors"]),
    st.none() | texts,
    st.lists(files, max_size=4).map(tuple),
    st.none() | st.builds(CatalogEntry, *[texts] * 4),
    st.none() | texts,
    texts,
)


@given(manifests)
def test_it_reads_back_as_it_was_written(manifest: Manifest) -> None:
    """`from_json` is the inverse of `to_json`, whatever the texts hold."""
    again = Manifest.from_json(manifest.to_json())
    assert again == manifest
    assert hash(again) == hash(manifest)


@given(manifests)
def test_sizes_add_up(manifest: Manifest) -> None:
    """The total is the files and the catalog's texts, each counted in bytes and not in characters."""
    texts = manifest.catalog.model_yaml + manifest.catalog.manifest_json if manifest.catalog else ""
    assert manifest.weights_size == sum(file.size for file in manifest.files)
    assert manifest.total_size == manifest.weights_size + len(texts.encode())


def test_the_key_does_not_see_case_or_revision_of_the_files() -> None:
    """The same model in the same quantization is one job, however it was typed and whatever has been pushed since."""
    key = manifest_of(id="Qwen/Qwen3-8B-GGUF", quantization="Q4_K_M").key
    assert manifest_of(id="qwen/qwen3-8b-gguf", quantization="q4_k_m").key == key
    assert manifest_of(file_of(b"other", commit="d" * 40), id="Qwen/Qwen3-8B-GGUF").key == key


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other/Model"},
        {"format": "mlx"},
        {"quantization": "Q8_0"},
        {"quantization": None},
        {"subset": "BF16"},
        {"subset": "bf16"},
    ],
)
def test_the_key_tells_models_apart(change: dict[str, str | None]) -> None:
    """Another model, format, quantization or part is another job; a part's name keeps its case, as paths do."""
    keys = {manifest_of().key, manifest_of(**change).key, manifest_of(subset="Bf16").key}
    assert len(keys) == 3


def test_a_file_stands_under_owner_repository_and_path() -> None:
    """Upper and lower case and folders are kept."""
    assert file_of(b"", path="BF16/a-00001-of-00002.gguf").shelf_path == (
        "unsloth/Qwen3-8B-GGUF/BF16/a-00001-of-00002.gguf"
    )


def test_a_catalog_entry_is_named_by_owner_and_name() -> None:
    """As the catalog has it."""
    assert entry().id == "qwen/qwen3-8b"
