"""What is newer about a model: manifests then and now."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample import entry, file_of, manifest_of
from windlass.manifest import Digest, Manifest, ManifestFile
from windlass.update import Update, compare, sharers, update_body

THEN, NOW = "a" * 40, "b" * 40
PATHS = ("M-Q4_K_M.gguf", "mmproj.gguf", "config.json", "deep/tokenizer.json")
CONTENTS = st.dictionaries(st.sampled_from(PATHS), st.binary(max_size=3), min_size=1)
REPOS = st.sampled_from(("owner/M-GGUF", "owner/M2-GGUF"))


def made(content: dict[str, bytes], commit: str, repo: str = "owner/M-GGUF") -> Manifest:
    return manifest_of(*(file_of(data, path, repo=repo, commit=commit) for path, data in content.items()))


def after(update: Update) -> dict[str, Digest]:
    """What stands on the shelf when `update` has been done to what `then` names."""
    files = {file.shelf_path: file.digest for file in update.then.files}
    files |= {file.shelf_path: file.digest for file in (*update.changed, *update.came)}
    for file in update.went:
        del files[file.shelf_path]
    return files


@given(CONTENTS, CONTENTS, REPOS)
def test_an_update_is_what_leads_from_then_to_now(
    before: dict[str, bytes], now_content: dict[str, bytes], repo: str
) -> None:
    """None exactly where all contents are the same; else it makes the new files of the old, and touches no other."""
    then, now = made(before, THEN), made(now_content, NOW, repo)
    update = compare(then, now)
    if before == now_content:
        assert update is None
        return
    assert update is not None
    assert after(update) == {file.shelf_path: file.digest for file in now.files}
    fetched = {file.shelf_path: file for file in (*update.changed, *update.came)}
    assert len(fetched) == len(update.changed) + len(update.came)
    there = {(file.shelf_path, file.digest) for file in then.files}
    assert not {(file.shelf_path, file.digest) for file in fetched.values()} & there
    assert update.bytes_to_fetch == sum(file.size for file in fetched.values()) <= now.weights_size
    assert (update.commit, update.newest_commit) == (THEN, NOW)
    assert update_body(update)["files"] == [file.shelf_path for file in (*update.changed, *update.came)]


@given(CONTENTS)
def test_another_order_or_commit_or_name_is_no_update(content: dict[str, bytes]) -> None:
    """A README's commit, a repository that was renamed, a listing in another order: the same bytes."""
    then = made(content, THEN)
    moved = made(dict(reversed(content.items())), NOW, "new/Name-GGUF")
    assert compare(then, moved) is None
    assert compare(then, replace(then, why="Another sentence.", display_name="Another name")) is None


def test_each_file_is_of_one_kind() -> None:
    """Changed, came, went; what stays is in none."""
    update = compare(made({"a": b"1", "b": b"1", "c": b"1"}, THEN), made({"a": b"1", "b": b"22", "d": b"333"}, NOW))
    assert update is not None
    kinds = (update.changed, update.came, update.went)
    assert [[file.path for file in files] for files in kinds] == [["b"], ["d"], ["c"]]
    assert update_body(update) == {
        "commit": THEN,
        "newest_commit": NOW,
        "files": ["owner/M-GGUF/b", "owner/M-GGUF/d"],
        "bytes_to_fetch": 5,
    }


def test_a_digest_of_another_kind_may_be_of_other_bytes() -> None:
    """Nobody can tell, so it counts."""
    file = file_of(b"x", "config.json")
    other = replace(file, digest=Digest("git-sha1", "1" * 40))
    assert compare(manifest_of(file), manifest_of(other)) is not None


def test_a_changed_model_yaml_is_an_update() -> None:
    """With no bytes to fetch; the catalog's manifest alone is none, as it may be made up."""
    then = manifest_of(catalog=entry())
    assert compare(then, replace(then, catalog=replace(entry(), manifest_json="{}"))) is None
    commented = "# Another comment\n\n" + "\n".join(f"{line} " for line in entry().model_yaml.splitlines()[1:])
    assert compare(then, replace(then, catalog=replace(entry(), model_yaml=commented))) is None
    update = compare(then, replace(then, catalog=replace(entry(), model_yaml="model: qwen/qwen3-8b\n")))
    assert update is not None
    body = update_body(update)
    assert (body["files"], body["bytes_to_fetch"]) == (["qwen/qwen3-8b/model.yaml"], 0)


OLD, NEW = file_of(b"eye", "mmproj.gguf", role="projector"), file_of(b"EYE!", "mmproj.gguf", role="projector")


@pytest.mark.parametrize(
    ("other", "shares"),
    [
        ((OLD,), True),
        ((file_of(b"8", "M-Q8_0.gguf"), OLD), True),
        ((file_of(b"8", "M-Q8_0.gguf"), NEW), False),
        ((file_of(b"8", "M-Q8_0.gguf"),), False),
        ((replace(OLD, repo="other/M-GGUF"),), False),
    ],
)
def test_who_shares_what_changes(other: tuple[ManifestFile, ...], shares: bool) -> None:
    """They name a changed file as it was; the model itself is not among them."""
    weights = file_of(b"4", "M-Q4_K_M.gguf")
    then = manifest_of(weights, OLD)
    update = compare(then, manifest_of(weights, NEW))
    assert update is not None
    eight = manifest_of(*other, quantization="Q8_0")
    assert sharers(update, [then, eight]) == ([eight] if shares else [])
