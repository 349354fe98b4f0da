"""The recipe: what is here is not fetched, nothing is seen before all is whole, a stop at any moment does no harm."""

import asyncio
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest

from a_network import Answers
from pulling import ENDPOINT, bring, left_over, means_of, seen
from sample import MODEL_YAML, entry, file_of, manifest_of
from windlass.errors import ChecksumMismatch, Stopped, WindlassError
from windlass.jobs.states import Phase
from windlass.library.arrivals import Arrival
from windlass.library.shelf import Shelf, State
from windlass.manifest import Digest, Manifest, ManifestFile
from windlass.pull import Means, discard_partials, hand_over, partial_names, progress_of, pull
from windlass.transfer.network import Request
from windlass.transfer.partial import open_partial

SHARDS = {f"Qwen3-8B-Q4_K_M-0000{n}-of-00003.gguf": b"GGUF" + bytes([n]) * 5000 for n in (1, 2, 3)}


class Watched(Shelf):
    """A shelf that notes which of a manifest's partials were whole when the first file was published."""

    whole_at_first: set[str] | None = None

    def publish(self, arrivals: Sequence[Arrival]) -> None:
        if self.whole_at_first is None:
            found = (self.private_dir / "partial").glob("*.part")
            self.whole_at_first = {path.stem for path in found if path.read_bytes() in SHARDS.values()}
        super().publish(arrivals)


@pytest.fixture
def shelf(tmp_path: Path) -> Watched:
    (tmp_path / "models").mkdir()
    return Watched(tmp_path / "models", tmp_path / "lmstudio", lambda: 1_760_000_000.0)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def means(shelf: Watched, threads: ThreadPoolExecutor) -> Means:
    return means_of(shelf, threads, Answers(SHARDS))


def network_of(means: Means) -> Answers:
    assert isinstance(means.tools.network, Answers)
    return means.tools.network


def shards(**more: Any) -> Manifest:
    return manifest_of(*(file_of(content, path) for path, content in SHARDS.items()), **more)


def put(shelf: Shelf, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        place = shelf.models_dir / "unsloth/Qwen3-8B-GGUF" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def test_a_model_comes_in_whole(means: Means, shelf: Watched) -> None:
    """All files under their names, verified with receipts, known as one model, and no partial left."""
    progress = bring(shards(), means)
    assert seen(shelf) == SHARDS
    assert {shelf.state_of(file) for file in shards().files} == {State.PRESENT}
    assert left_over(shelf) == []
    assert progress.downloaded == shards().total_size
    receipt = shelf.receipts.read(shards().files[0].shelf_path)
    assert receipt
    assert (receipt.source, receipt.adopted, len(receipt.chunks)) == (ENDPOINT, False, 1)
    [finished] = shelf.receipts.models_folder.iterdir()
    assert shards().id.split("/")[1].lower() in finished.name


def test_nothing_is_seen_before_all_is_whole(means: Means, shelf: Watched) -> None:
    """While any byte still comes no final name exists; when the first appears, every file has been verified."""
    network_of(means).watch = lambda request: asserted(seen(shelf) == {})
    bring(shards(), means)
    assert shelf.whole_at_first
    assert shelf.whole_at_first ^ partial_names(shards()) == set()


def asserted(condition: bool) -> None:
    assert condition


def test_the_address_is_pinned_and_carries_the_token(means: Means) -> None:
    """The commit of the manifest, not a branch; a path's odd characters quoted; the headers that were handed in."""
    requests: list[Request] = []
    network_of(means).watch = requests.append
    file = file_of(SHARDS["Qwen3-8B-Q4_K_M-00001-of-00003.gguf"], "a b#/Qwen3-8B-Q4_K_M-00001-of-00003.gguf")
    bring(manifest_of(file), means)
    url = f"{ENDPOINT}/unsloth/Qwen3-8B-GGUF/resolve/{'c' * 40}/a%20b%23/Qwen3-8B-Q4_K_M-00001-of-00003.gguf"
    assert {request.url for request in requests} == {url}
    assert requests[0].headers["Authorization"] == "Bearer hf_x"
    assert "hf_x" not in repr(means)


def test_what_is_present_is_not_fetched_again(means: Means) -> None:
    """A second pull asks the network for nothing; one lost file is fetched alone."""
    bring(shards(), means)
    network_of(means).asked.clear()
    bring(shards(), means)
    assert network_of(means).asked == []
    means.shelf.path_of(shards().files[1]).unlink()
    bring(shards(), means)
    assert [url.rpartition("/")[2] for url in network_of(means).asked] == [shards().files[1].path]


def test_files_that_nobody_verified_are_adopted_or_replaced(means: Means, shelf: Watched) -> None:
    """The right one is kept where it stands; one of the right size and wrong content is fetched and replaced."""
    first, second, third = SHARDS
    put(shelf, {first: SHARDS[first], second: b"x" * len(SHARDS[second]), third: b"too short"})
    bring(shards(), means)
    asked = {url.rpartition("/")[2] for url in network_of(means).asked}
    assert asked == {second, third}
    assert seen(shelf) == SHARDS
    kept = shelf.receipts.read(shards().files[0].shelf_path)
    assert kept
    assert kept.adopted


def test_the_same_content_twice_in_one_manifest(means: Means, shelf: Watched) -> None:
    """Two names for the same bytes, and files without a byte, each get their own file."""
    content = SHARDS["Qwen3-8B-Q4_K_M-00001-of-00003.gguf"]
    names = ["a.json", "b/a.json", "c.json"]
    network = Answers(dict.fromkeys(names, content) | {"empty.txt": b"", "empty2.txt": b""})
    files = [file_of(content, name) for name in names] + [file_of(b"", "empty.txt"), file_of(b"", "empty2.txt")]
    means = replace(means, tools=replace(means.tools, network=network))
    bring(manifest_of(*files), means)
    assert all(shelf.path_of(file).read_bytes() == (content if file.size else b"") for file in files)
    assert left_over(shelf) == []


def test_small_files_are_verified_by_gits_hash(means: Means, shelf: Watched) -> None:
    """A file without LFS has no sha256 in the listing."""
    content = SHARDS["Qwen3-8B-Q4_K_M-00001-of-00003.gguf"]
    right = Digest("git-sha1", sha1(b"blob %d\0" % len(content) + content).hexdigest())
    file = replace(file_of(content, "Qwen3-8B-Q4_K_M-00001-of-00003.gguf"), digest=right)
    bring(manifest_of(file), means)
    assert shelf.state_of(file) is State.PRESENT


def test_the_catalogs_texts_are_written(means: Means, tmp_path: Path) -> None:
    """Where LM Studio looks for them, and they count into the total."""
    manifest = shards(id="qwen/qwen3-8b", catalog=entry())
    progress = bring(manifest, means)
    folder = tmp_path / "lmstudio/hub/models/qwen/qwen3-8b"
    assert (folder / "model.yaml").read_text() == MODEL_YAML
    assert (folder / "manifest.json").read_text() == entry().manifest_json
    assert progress.downloaded == manifest.total_size == sum(map(len, SHARDS.values())) + entry().size
    [finished] = means.shelf.receipts.models_folder.iterdir()
    assert '"domain":"llm"' in finished.read_text()


def test_wrong_bytes_never_get_a_name(shelf: Watched, threads: ThreadPoolExecutor) -> None:
    """One file of three is wrong: none of them is seen, the right ones are kept for the next try."""
    bad = {**SHARDS, "Qwen3-8B-Q4_K_M-00002-of-00003.gguf": b"x" * 5004}
    with pytest.raises(ChecksumMismatch):
        bring(shards(), means_of(shelf, threads, Answers(bad)))
    assert seen(shelf) == {}
    network = Answers(SHARDS)
    bring(shards(), means_of(shelf, threads, network))
    assert seen(shelf) == SHARDS
    assert any("00002-of" in url for url in network.asked)


def test_progress_says_what_is_kept_on_disk(means: Means, shelf: Watched) -> None:
    """Before anything runs: present files, verified partials, and the texts, which cost nothing, count."""
    manifest = shards(catalog=entry())
    assert progress_of(manifest, shelf).downloaded == entry().size
    drop(network_of(means), "00003-of")
    with pytest.raises(Dropped):
        bring(manifest, replace(means, tools=replace(means.tools, connections=lambda: 1)))
    kept = progress_of(manifest, shelf).downloaded - entry().size
    assert kept in {0, 5004, 10008}
    network_of(means).watch = lambda request: None
    assert bring(manifest, means).downloaded == progress_of(manifest, shelf).downloaded == manifest.total_size


class Dropped(Exception):
    """A bug, as far as the code under test can tell."""


def drop(network: Answers, path: str) -> None:
    def watch(request: Request) -> None:
        if path in request.url:
            raise Dropped

    network.watch = watch


def test_phases_follow_one_another(means: Means, shelf: Watched) -> None:
    """Resolving, then transferring while bytes come, then verifying, which is left to the store to end."""
    progress = progress_of(shards(), shelf)
    assert progress.phase is Phase.RESOLVING
    phases: set[Phase] = set()
    network_of(means).watch = lambda request: phases.add(progress.phase)
    asyncio.run(pull(shards(), means, progress))
    assert phases == {Phase.TRANSFERRING}
    assert str(progress.phase) == "verifying"


def test_a_file_that_another_brings_in_meanwhile_is_taken_as_it_is(means: Means, shelf: Watched) -> None:
    """Another job holds the partial; when it has published the file, this one does not fetch it again."""
    first = file_of(SHARDS["Qwen3-8B-Q4_K_M-00001-of-00003.gguf"], "Qwen3-8B-Q4_K_M-00001-of-00003.gguf")
    [name] = partial_names(manifest_of(first))
    folder = shelf.private_dir / "partial"
    other = open_partial(folder, name, f"sha256:{first.digest.hex}", first.size)
    assert other

    async def both() -> None:
        own = asyncio.create_task(pull(shards(), means, progress_of(shards(), shelf)))
        while len(set(network_of(means).asked)) < 2:
            await asyncio.sleep(0)
        put(shelf, {first.path: SHARDS[first.path]})
        assert shelf.adopt(first)
        other.close()
        discard_partials([name], shelf)
        await own

    asyncio.run(both())
    assert not any(first.path in url for url in network_of(means).asked)
    assert seen(shelf) == SHARDS
    assert left_over(shelf) == []


@pytest.mark.parametrize("moment", ["00001-of", "00002-of", "00003-of"])
def test_a_pull_may_be_cancelled_while_bytes_come(means: Means, shelf: Watched, moment: str) -> None:
    """Nothing is seen of it, and the next pull goes on to a whole model."""

    async def cancelled() -> None:
        task = asyncio.create_task(pull(shards(), means, progress_of(shards(), shelf)))

        def cancel(request: Request) -> None:
            if moment in request.url:
                task.cancel()

        network_of(means).watch = cancel
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert seen(shelf) == {}
    network_of(means).watch = lambda request: None
    bring(shards(), means)
    assert seen(shelf) == SHARDS


def test_a_cancelled_pull_does_not_leave_its_publishing_half_way(means: Means, shelf: Watched) -> None:
    """Cancelled when it publishes already, it ends only when the model is whole, and not with some of it."""

    async def cancelled() -> None:
        task = asyncio.create_task(pull(shards(), means, progress_of(shards(), shelf)))
        loop, publish, go_on = asyncio.get_running_loop(), shelf.publish, threading.Event()

        def cancel_then_publish(arrivals: Sequence[Arrival]) -> None:
            loop.call_soon_threadsafe(task.cancel)
            loop.call_soon_threadsafe(lambda: loop.call_soon(go_on.set))
            go_on.wait()
            publish(arrivals)

        shelf.publish = cancel_then_publish  # type: ignore[method-assign]
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen(shelf) == SHARDS
        assert left_over(shelf) == []

    asyncio.run(cancelled())


def test_a_cancelled_pull_stops_hashing_what_stood_there(means: Means, shelf: Watched) -> None:
    """A file of 40 GB takes a minute to hash: whoever stops the job does not wait for that."""
    put(shelf, SHARDS)
    asked: list[bool] = []

    async def cancelled() -> None:
        task = asyncio.create_task(pull(shards(), means, progress_of(shards(), shelf)))
        loop = asyncio.get_running_loop()

        def endless(file: ManifestFile, *, on_progress: Any, should_stop: Any) -> bool:
            on_progress(17)
            loop.call_soon_threadsafe(task.cancel)
            while not should_stop():
                pass
            asked.append(True)
            raise Stopped("as told")

        shelf.adopt = endless  # type: ignore[assignment, method-assign]
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert asked == [True]
    assert network_of(means).asked == []


def test_an_error_while_publishing_comes_out(means: Means, shelf: Watched) -> None:
    """A folder stands where a file should be: an error for people, and what has come is kept."""
    blocked = shelf.path_of(shards().files[1])
    blocked.mkdir(parents=True)
    with pytest.raises(WindlassError, match="folder stands where"):
        bring(shards(), means)
    blocked.rmdir()
    network_of(means).asked.clear()
    bring(shards(), means)
    assert network_of(means).asked == []
    assert seen(shelf) == SHARDS


def test_partials_are_discarded_by_name(means: Means, shelf: Watched) -> None:
    """Those named and no others; one that is not there is no error."""
    drop(network_of(means), "00003-of")
    with pytest.raises(Dropped):
        bring(shards(), means)
    mine, others = partial_names(manifest_of(shards().files[0])), partial_names(manifest_of(shards().files[1]))
    before = left_over(shelf)
    discard_partials(mine, shelf)
    gone = set(before) - set(left_over(shelf))
    assert gone
    assert {name.partition(".")[0] for name in gone} == mine
    discard_partials(mine | others | {"0" * 32}, shelf)
    assert not [name for name in left_over(shelf) if name.partition(".")[0] in mine | others]


def test_what_is_published_while_it_is_counted_counts(means: Means, shelf: Watched) -> None:
    """Between the look at the partial and the look at the shelf, or after both: no byte of it is overlooked."""
    bring(shards(), means)
    file = shards().files[0]
    place, [name] = shelf.path_of(file), partial_names(manifest_of(file))
    partial, mtime = shelf.private_dir / "partial" / f"{name}.part", shelf.path_of(file).stat().st_mtime_ns

    def publish() -> None:
        if partial.exists():
            partial.replace(place)
            os.utime(place, ns=(mtime, mtime))

    class Before(Shelf):
        def state_of(self, file: ManifestFile) -> State:
            publish()
            return super().state_of(file)

    class After(Shelf):
        def state_of(self, file: ManifestFile) -> State:
            state = super().state_of(file)
            publish()
            return state

    for other in (Before, After):
        place.replace(partial)
        assert progress_of(manifest_of(file), other(shelf.models_dir, shelf.models_dir)).downloaded == file.size


def test_what_is_handed_over(shelf: Shelf) -> None:
    """The first shard for llama.cpp, the folder for MLX; a projector where that alone was asked for."""
    folder = shelf.models_dir / "unsloth/Qwen3-8B-GGUF"
    assert hand_over(shards(), shelf) == folder / "Qwen3-8B-Q4_K_M-00001-of-00003.gguf"
    data = file_of(b"{}", "config.json", role="data")
    weights = file_of(b"w", "model.safetensors")
    assert hand_over(manifest_of(data, weights, format="mlx"), shelf) == folder
    projector = file_of(b"p", "mmproj-F16.gguf", role="projector")
    assert hand_over(manifest_of(projector), shelf) == folder / "mmproj-F16.gguf"


def test_partials_differ_by_place_and_content() -> None:
    """Another revision of a file is another partial, so no bytes of the two can mix."""
    file = file_of(b"one")
    names = [
        partial_names(manifest_of(other))
        for other in (file, file_of(b"two"), file_of(b"one", "x"), replace(file, commit="d" * 40))
    ]
    assert len({*names[0], *names[1], *names[2]}) == 3
    assert names[0] == names[3]
