"""Hashes are computed once for each state of a file, and kept."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from share.sharing import git_sha1, sha256
from windlass.share.app import create_app
from windlass.share.digests import Changing, Digests, StillHashing, cache_for, compute, is_large
from windlass.share.folder import Folder, Found
from windlass.share.repositories import Repositories


class Counting:
    """Hashes as `compute` does, counts, and can be held at a gate."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, found: Found, stop: threading.Event) -> str:
        self.paths.append(found.path)
        self.gate.wait()
        return compute(found, stop)


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def digests(tmp_path: Path, counting: Counting) -> Iterator[Digests]:
    made = Digests(tmp_path / "cache.json", counting)
    yield made
    counting.gate.set()
    made.close()


def files_of(folder: Path) -> list[Found]:
    return Folder(folder).files("Acme/Rocket-MLX")


def test_small_files_have_git_hashes_and_weights_sha256(folder: Path, digests: Digests) -> None:
    """Which hash a file has is decided as the real hub does."""
    config = b'{"quantization": {"bits": 4}}'
    assert digests.of(files_of(folder)) == {"config.json": git_sha1(config), "model.safetensors": sha256(b"weights")}


@pytest.mark.parametrize(
    ("path", "size", "large"),
    [("a.gguf", 0, True), ("A.GGUF", 1, True), ("a.json", 9_999_999, False), ("a.json", 10_000_000, True)],
)
def test_large_is_by_size_or_by_name(path: str, size: int, large: bool) -> None:
    """Weights are large whatever their size, other files from 10 MB up."""
    assert is_large(path, size) is large


def test_each_state_is_hashed_once(folder: Path, digests: Digests, counting: Counting) -> None:
    """Asking again costs nothing; a file that changed is hashed again, and only that one."""
    digests.of(files_of(folder))
    digests.of(files_of(folder))
    assert sorted(counting.paths) == ["config.json", "model.safetensors"]
    (folder / "Acme/Rocket-MLX/config.json").write_bytes(b"changed")
    assert digests.of(files_of(folder))["config.json"] == git_sha1(b"changed")
    assert sorted(counting.paths) == ["config.json", "config.json", "model.safetensors"]


def test_two_who_ask_at_once_share_one_computation(folder: Path, digests: Digests, counting: Counting) -> None:
    """While a file is being hashed, who else asks waits for the same work, or is told to come back."""
    counting.gate.clear()
    for _ in range(3):
        with pytest.raises(StillHashing, match="2 files"):
            digests.of(files_of(folder), patience=0)
    counting.gate.set()
    assert len(digests.of(files_of(folder))) == 2
    assert sorted(counting.paths) == ["config.json", "model.safetensors"]


def test_hashes_outlive_the_process(folder: Path, digests: Digests, tmp_path: Path) -> None:
    """A second run reads what the first one learnt."""
    known = digests.of(files_of(folder))
    again = Counting()
    second = Digests(tmp_path / "cache.json", again)
    assert (second.of(files_of(folder)), again.paths) == (known, [])
    second.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"digests": 3}',
        '{"digests": [[1]]}',
        '{"digests": [["/x", 1, 1, true, "zz"]]}',
        '{"digests": [["/x", "1", 1, true, "' + "0" * 64 + '"]]}',
        '{"digests": [["/x", 1, 1, false, "' + "z" * 40 + '"]]}',
        "\x00",
    ],
)
def test_a_cache_that_does_not_read_counts_as_none(folder: Path, tmp_path: Path, text: str) -> None:
    """Garbage in the cache is neither believed nor fatal, and is written over."""
    cache = tmp_path / "cache.json"
    cache.write_text(text)
    digests = Digests(cache)
    assert len(digests.of(files_of(folder))) == 2
    digests.close()
    assert len(json.loads(cache.read_text())["digests"]) == 2


def test_the_cache_holds_no_older_states(folder: Path, digests: Digests, tmp_path: Path) -> None:
    """A changed file takes its former place in the cache."""
    for content in (b"1", b"2", b"3"):
        (folder / "Acme/Rocket-MLX/config.json").write_bytes(content)
        os.utime(folder / "Acme/Rocket-MLX/config.json", ns=(content[0], content[0]))
        digests.of(files_of(folder))
    assert len(json.loads((tmp_path / "cache.json").read_text())["digests"]) == 2


def test_a_cache_that_cannot_be_written_is_no_failure(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Serving goes on, and the log says why the next start will hash again."""
    (tmp_path / "file").write_bytes(b"")
    digests = Digests(tmp_path / "file" / "cache.json")
    assert len(digests.of(files_of(folder))) == 2
    assert "could not be kept" in caplog.text
    digests.close()


def test_a_file_that_changes_while_it_is_hashed_is_left_out(folder: Path, tmp_path: Path) -> None:
    """What is being written is not served, and the rest of its repository is."""

    def written_meanwhile(found: Found, stop: threading.Event) -> str:
        if found.path == "model.safetensors":
            with found.real.open("ab") as file:
                file.write(b" more")
        return compute(found, stop)

    digests = Digests(tmp_path / "cache.json", written_meanwhile)
    assert list(digests.of(files_of(folder))) == ["config.json"]
    digests.close()


def test_a_file_that_is_swapped_for_a_link_is_not_read(folder: Path) -> None:
    """Between the scan and the opening, a file may become a link that leads out: it counts as changed."""
    [config, _] = files_of(folder)
    config.real.unlink()
    config.real.symlink_to(folder.parent / "outside.gguf")
    with pytest.raises(Changing):
        compute(config, threading.Event())


def test_stopping_ends_the_hashing(folder: Path) -> None:
    """A computation under way gives up when the server ends."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(Changing):
        compute(files_of(folder)[0], stop)


def test_a_file_that_cannot_be_read_is_logged(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A bad disk block costs its file, not the repository, and is told."""

    def broken(found: Found, _: threading.Event) -> str:
        raise OSError(5, "Input/output error")

    digests = Digests(tmp_path / "cache.json", broken)
    assert digests.of(files_of(folder)) == {}
    assert "is not served" in caplog.text
    digests.close()


def test_the_cache_lies_beside_the_folder(tmp_path: Path) -> None:
    """Beside the folder where that can be written."""
    assert cache_for(tmp_path / "models") == tmp_path / ".models.windlass-hashes.json"


def test_the_cache_lies_with_the_user_where_beside_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the user's cache folder otherwise, one file for each folder."""
    nowhere = Path("/proc/1/models")
    assert cache_for(nowhere, tmp_path).parent == tmp_path / "windlass"
    assert cache_for(nowhere, tmp_path) != cache_for(Path("/proc/2/models"), tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_for(nowhere).parent == tmp_path / "xdg" / "windlass"


def test_who_asks_too_early_is_told_when_to_come_back(folder: Path, digests: Digests, counting: Counting) -> None:
    """While hashes are missing, an answer is 503 with Retry-After; the search needs none."""
    counting.gate.clear()
    app = create_app(folder, digests)
    app.state.context.repositories._patience = 0
    client = TestClient(app)
    answer = client.get("/api/models/Acme/Rocket-MLX")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "still being hashed" in answer.json()["error"]
    assert len(client.get("/api/models").json()) == 2
    counting.gate.set()
    digests.of(files_of(folder))
    assert client.get("/api/models/Acme/Rocket-MLX").status_code == 200


def test_a_file_that_never_rests_is_not_served(folder: Path, tmp_path: Path) -> None:
    """Hashed and at once written to, again and again: 503 and when to come back, never bytes of another state."""

    def never_at_rest(found: Found, stop: threading.Event) -> str:
        digest = compute(found, stop)
        found.real.write_bytes(os.urandom(9))
        return digest

    digests = Digests(tmp_path / "cache.json", never_at_rest)
    answer = TestClient(create_app(folder, digests)).get("/Acme/Rocket-GGUF/resolve/main/README.md")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    digests.close()


def test_a_cache_that_fails_half_way_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fills up while the cache is written, the old one stays and no temporary file does."""
    cache = tmp_path / "cache.json"
    cache.write_text("old")

    def full(_: Path, __: Path) -> None:
        raise OSError(28, "No space left on device")

    digests = Digests(cache)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        digests.of(files_of(folder))
    digests.close()
    assert [path.name for path in tmp_path.glob("cache*")] == ["cache.json"]
    assert cache.read_text() == "old"


def test_a_folder_that_goes_away_has_no_files(tmp_path: Path) -> None:
    """A folder that vanished, or may not be read, is empty and no failure."""
    assert Folder(tmp_path / "gone").repositories() == []


def test_what_is_kept_does_not_hide_what_is(folder: Path, digests: Digests) -> None:
    """A commit that was given out is answered as it was, for its files to be compared; no revision asks the folder."""
    repositories = Repositories(Folder(folder), digests)
    commit = repositories.snapshot("Acme/Rocket-MLX", "main").commit
    for file in (folder / "Acme" / "Rocket-MLX").iterdir():
        file.unlink()
    assert len(repositories.snapshot("Acme/Rocket-MLX", commit).files) == 2
    assert not repositories.snapshot("Acme/Rocket-MLX", None).files


def test_warming_hashes_everything(folder: Path, digests: Digests, counting: Counting) -> None:
    """From the start, repository by repository, so that the first client finds it done."""
    Repositories(Folder(folder), digests).warm()
    assert len(counting.paths) == 7


def test_warming_ends_with_the_server(folder: Path, tmp_path: Path) -> None:
    """Once the digests are closed, nothing is begun any more."""
    digests = Digests(tmp_path / "cache.json")
    digests.close()
    Repositories(Folder(folder), digests).warm()
    assert not (tmp_path / "cache.json").exists()


def test_what_it_logs_is_counted_as_everywhere(
    folder: Path, digests: Digests, caplog: pytest.LogCaptureFixture
) -> None:
    """`1 file`, and sizes in three digits: of 12 MB `0.0 GB` says nothing."""
    one = folder / "Acme" / "Single-GGUF" / "Single-Q4_K_M.gguf"
    one.parent.mkdir()
    one.write_bytes(b"GGUF" + bytes(12_000_000))
    with caplog.at_level("INFO", logger="windlass.share"):
        Repositories(Folder(folder), digests).warm()
    assert f"Hashing {one} (12.0 MB)" in caplog.text
    assert "Acme/Single-GGUF (1 file)" in caplog.text
