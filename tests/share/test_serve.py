"""`windlass hub` as a server, and what the real clients make of it."""

import filecmp
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

from share.sharing import WEIGHTS, git_sha1, sha256
from windlass.errors import InvalidRequest, StateFailure
from windlass.share.serve import Running, serve_folder

SERVE = """
import sys
from pathlib import Path
from windlass.share.serve import serve_folder
serve_folder(Path(sys.argv[1]))
"""


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    with Running(folder) as running:
        yield running.url


def test_a_running_folder_answers_at_once(url: str) -> None:
    """Inside the block the address answers, bytes included."""
    with urlopen(f"{url}/Acme/Rocket-GGUF/resolve/main/Rocket-Q4_K_M.gguf") as answer:
        assert answer.read() == WEIGHTS


def test_after_the_block_nobody_listens(folder: Path) -> None:
    """The end is clean: the port is free again."""
    with Running(folder) as running:
        port = running.port
    with Running(folder, port=port) as again:
        assert again.port == port


def test_names_with_odd_characters_are_served(url: str, folder: Path) -> None:
    """Spaces, percent signs, question marks and letters beyond ASCII work in addresses and from page to page."""
    name = "a b%20?#é.gguf"
    (folder / "Acme" / "Rocket-GGUF" / name).write_bytes(b"odd")
    with urlopen(f"{url}/Acme/Rocket-GGUF/resolve/main/a%20b%2520%3F%23%C3%A9.gguf") as answer:
        assert answer.read() == b"odd"
    api = HfApi(endpoint=url)
    assert name in [row.path for row in api.list_repo_tree("Acme/Rocket-GGUF")]


def test_a_client_that_leaves_does_no_harm(url: str, folder: Path) -> None:
    """Connections cut in mid-body leave no file open and the server in good health."""
    large = folder / "Acme" / "Rocket-GGUF" / "large.gguf"
    with large.open("wb") as file:
        file.truncate(200_000_000)
    HfApi(endpoint=url).model_info("Acme/Rocket-GGUF")
    for _ in range(5):
        with urlopen(f"{url}/Acme/Rocket-GGUF/resolve/main/large.gguf") as answer:
            assert answer.read(10) == b"\0" * 10
    with urlopen(f"{url}/Acme/Rocket-GGUF/resolve/main/README.md") as answer:
        assert answer.read() == b"# Rocket\n"


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_process_says_where_it_listens_and_ends_with_0(folder: Path, ending: signal.Signals) -> None:
    """One line on stdout once it answers; progress goes to stderr; SIGINT and SIGTERM end it with exit code 0."""
    command = [sys.executable, "-c", SERVE, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("Listening on http://127.0.0.1:")
        with urlopen(line.removeprefix("Listening on ").strip() + "/api/models/Acme/Rocket-MLX") as answer:
            assert answer.status == 200
        process.send_signal(ending)
        rest, log = process.communicate(timeout=10)
    assert (process.returncode, rest) == (0, "")
    assert "Traceback" not in log


def test_a_port_that_is_taken_is_told(folder: Path) -> None:
    """The error names the port and how to choose another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StateFailure, match=f"127.0.0.1:{port}.*--port"):
            serve_folder(folder, port=port)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The error names the folder."""
    with pytest.raises(InvalidRequest, match=r"nowhere is no folder"):
        Running(tmp_path / "nowhere")


def test_ipv6_has_brackets_in_its_address(folder: Path) -> None:
    """An IPv6 host is written as an address needs it."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with Running(folder, host="::1") as running, urlopen(running.url) as answer:
        assert running.url.startswith("http://[::1]:")
        assert answer.status == 200


# The real clients


def test_hf_api_reads_everything(url: str) -> None:
    """HfApi's info, tree, paths, refs, search and whoami are filled as from the real hub."""
    api = HfApi(endpoint=url, token="any")
    info = api.model_info("Acme/Rocket-GGUF", files_metadata=True)
    assert info.siblings
    weights = next(row for row in info.siblings if row.rfilename == "Rocket-Q4_K_M.gguf")
    assert weights.lfs
    assert (weights.size, weights.lfs.sha256) == (len(WEIGHTS), sha256(WEIGHTS))
    assert len(list(api.list_repo_tree("Acme/Rocket-GGUF", recursive=True, revision=info.sha))) == 6
    [readme] = api.get_paths_info("Acme/Rocket-GGUF", ["README.md", "nothing"])
    assert vars(readme)["blob_id"] == git_sha1(b"# Rocket\n")
    assert api.list_repo_refs("Acme/Rocket-GGUF").branches[0].target_commit == info.sha
    assert [model.id for model in api.list_models(search="rocket", filter="mlx")] == ["Acme/Rocket-MLX"]
    assert api.whoami()["name"] == "guest"
    assert api.file_exists("Acme/Rocket-GGUF", "README.md")
    assert api.model_info("acme/rocket-gguf").id == "Acme/Rocket-GGUF"


def test_hf_api_recognizes_what_is_missing(url: str, tmp_path: Path) -> None:
    """huggingface_hub raises its own precise errors, so X-Error-Code is as it expects."""
    api = HfApi(endpoint=url)
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("Acme/Nothing")
    with pytest.raises(RevisionNotFoundError):
        api.model_info("Acme/Rocket-GGUF", revision="refs/pr/1")
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download("Acme/Rocket-GGUF", "nothing.gguf", cache_dir=tmp_path)


@pytest.mark.parametrize("repo", ["Acme/Rocket-GGUF", "acme/rocket-gguf"])
def test_hf_download_brings_the_files(url: str, folder: Path, tmp_path: Path, repo: str) -> None:
    """The real `hf download` fetches a repository, hf_xet and all, byte for byte, also by its name in other case."""
    target = tmp_path / "target"
    environment = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [str(Path(sys.executable).with_name("hf")), "download", repo, "--local-dir", str(target)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    names = ["README.md", "Rocket-Q4_K_M.gguf", "empty.json", "BF16/Rocket-BF16-00002-of-00002.gguf"]
    match, mismatch, errors = filecmp.cmpfiles(folder / "Acme" / "Rocket-GGUF", target, names, shallow=False)
    assert (match, mismatch, errors) == (names, [], [])
