"""How each tool is told to fetch a repository: the command as a person would write it, and the environment."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from benchmarks.content import COMMIT, File, Repository
from benchmarks.process import Command


@dataclass(frozen=True, slots=True)
class Errand:
    """What to bring, from where (`hub`, an address), into which fresh folder; `ca` is a file where TLS needs it."""

    repository: Repository
    hub: str
    folder: Path
    ca: Path | None = None

    def url(self, file: File) -> str:
        """Where a person copies a file's address from."""
        return f"{self.hub}/{self.repository.name}/resolve/{COMMIT}/{file.path}"

    def delivered(self, *, by_hash: bool = False) -> bool:
        """Whether every file stands somewhere below the folder under its own name, by size or by sha256."""
        found = {path.name: path for path in _files(self.folder)}
        return all(file.path in found and _is(file, found[file.path], by_hash) for file in self.repository.files)


@dataclass(frozen=True, slots=True)
class Tool:
    """A way to fetch: `programs` must be there; `verified` says whether the content is checked by its hash."""

    name: str
    programs: tuple[str, ...]
    verified: bool
    words: Callable[[Errand], list[str]]
    fetches: bool = True

    def missing(self) -> list[str]:
        """Those of its programs that this machine lacks."""
        return [program for program in self.programs if find_program(program) is None]

    def command(self, errand: Errand, **more: str) -> Command:
        """The command for an errand; `more` goes into its environment."""
        return Command(self.words(errand), {**environment(errand), **more}, errand.folder)


def find_program(name: str) -> str | None:
    """Beside this Python first: `windlass` and `hf` are those of the virtual environment."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def environment(errand: Errand) -> dict[str, str]:
    """What every tool gets: nothing of the person's own settings, all state below the errand's folder."""
    folder = errand.folder
    trust = {"SSL_CERT_FILE": str(errand.ca), "REQUESTS_CA_BUNDLE": str(errand.ca)} if errand.ca else {}
    return {
        **{name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ},
        "HOME": str(folder),
        "WINDLASS_HOME": str(folder / "state"),
        "WINDLASS_LMSTUDIO_HOME": str(folder / "lmstudio"),
        "WINDLASS_MODELS_DIR": str(folder / "models"),
        "WINDLASS_HF_ENDPOINT": errand.hub,
        "WINDLASS_CATALOG_URL": str(folder),
        "WINDLASS_URL": "http://127.0.0.1:9",  # discard: no server answers there
        "HF_ENDPOINT": errand.hub,
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        **trust,
    }


def windlass_get(errand: Errand) -> list[str]:
    """By the repository's address, as the others get addresses: no catalog is asked."""
    return [_program("windlass"), "get", "-y", f"{errand.hub}/{errand.repository.name}"]


def hf_download(errand: Errand) -> list[str]:
    """A single file by name, else the whole repository."""
    files = errand.repository.files
    return [_program("hf"), "download", errand.repository.name, *([files[0].path] if len(files) == 1 else [])]


def curl(errand: Errand, *more: str) -> list[str]:
    """One file to one name, or a list in parallel."""
    trust = ["--cacert", str(errand.ca)] if errand.ca else []
    common = [_program("curl"), "-q", "-fsSL", *trust, *more]
    files = errand.repository.files
    if len(files) == 1:
        return [*common, "-o", files[0].path, errand.url(files[0])]
    entries = [f'url = "{errand.url(file)}"\noutput = "{file.path}"\n' for file in files]
    return [*common, "--parallel", "-K", _listed(errand, "".join(entries))]


def curl_then_sha256sum(errand: Errand) -> list[str]:
    """The download, and a second pass over what it wrote."""
    return _and_then_sha256sum(errand, curl(errand))


def curl_continue(errand: Errand) -> list[str]:
    """Go on from the size of what is there."""
    return curl(errand, "-C", "-")


def curl_continue_then_sha256sum(errand: Errand) -> list[str]:
    """Go on, then look."""
    return _and_then_sha256sum(errand, curl_continue(errand))


def aria2c(errand: Errand, *more: str, checked: bool = False) -> list[str]:
    """`-x16 -s16`; a list sixteen files at a time."""
    trust = [f"--ca-certificate={errand.ca}"] if errand.ca else []
    quiet = ["--no-conf", "--summary-interval=0", "--show-console-readout=false", "--console-log-level=error"]
    common = [_program("aria2c"), *quiet, "-x16", "-s16", *trust, *more]
    files = errand.repository.files
    if len(files) == 1:
        sums = [f"--checksum=sha-256={files[0].sha256}"] if checked else []
        return [*common, *sums, "-o", files[0].path, errand.url(files[0])]
    entries = [
        f"{errand.url(file)}\n out={file.path}\n" + (f" checksum=sha-256={file.sha256}\n" if checked else "")
        for file in files
    ]
    return [*common, "-j16", "-i", _listed(errand, "".join(entries))]


def aria2c_checked(errand: Errand) -> list[str]:
    """With a sha256 for each file."""
    return aria2c(errand, checked=True)


def aria2c_continue(errand: Errand) -> list[str]:
    """Go on with what is there."""
    return aria2c(errand, "-c")


def aria2c_continue_checked(errand: Errand) -> list[str]:
    """Go on with what is there, and look at it first."""
    return aria2c(errand, "-c", "-V", checked=True)


WINDLASS = Tool("windlass get", ("windlass",), True, windlass_get)
CURL = Tool("curl -o", ("curl",), False, curl)
CURL_SHA256SUM = Tool("curl + sha256sum", ("curl", "sha256sum"), True, curl_then_sha256sum)
ARIA2C = Tool("aria2c -x16 -s16", ("aria2c",), False, aria2c)
ARIA2C_CHECKED = Tool("aria2c --checksum", ("aria2c",), True, aria2c_checked)
HF = Tool("hf download", ("hf",), False, hf_download)
CURL_CONTINUE = Tool("curl -C -", ("curl",), False, curl_continue)
CURL_CONTINUE_SHA256SUM = Tool("curl -C - + sha256sum", ("curl", "sha256sum"), True, curl_continue_then_sha256sum)
ARIA2C_CONTINUE = Tool("aria2c -c", ("aria2c",), False, aria2c_continue)
ARIA2C_CONTINUE_CHECKED = Tool("aria2c -c -V --checksum", ("aria2c",), True, aria2c_continue_checked)
WINDLASS_HELP = Tool("windlass --help", ("windlass",), False, lambda _: [_program("windlass"), "--help"], fetches=False)
HF_HELP = Tool("hf --help", ("hf",), False, lambda _: [_program("hf"), "--help"], fetches=False)
WINDLASS_SERVE = Tool("windlass serve", ("windlass",), True, lambda _: [_program("windlass"), "serve"], fetches=False)
WINDLASS_LS = Tool("windlass ls", ("windlass",), True, lambda _: [_program("windlass"), "ls"], fetches=False)
PYTHON = Tool("python -c pass", (), False, lambda _: [sys.executable, "-c", "pass"], fetches=False)


def _program(name: str) -> str:
    return find_program(name) or name


def _listed(errand: Errand, text: str) -> str:
    path = errand.folder / "list.txt"
    path.write_text(text)
    return str(path)


def _and_then_sha256sum(errand: Errand, fetch: list[str]) -> list[str]:
    sums = errand.folder / "sums.txt"
    sums.write_text("".join(f"{file.sha256}  {file.path}\n" for file in errand.repository.files))
    return ["sh", "-c", '"$@" && sha256sum --check --quiet sums.txt', "sh", *fetch]


def _files(folder: Path) -> Iterator[Path]:
    """Files and links to files, Windlass's unfinished ones among them: those have other names."""
    return (path for path in folder.rglob("*") if path.is_file())


def _is(file: File, path: Path, by_hash: bool) -> bool:
    if path.stat().st_size != file.size:
        return False
    if not by_hash:
        return True
    with path.open("rb") as content:
        return file_digest(content, "sha256").hexdigest() == file.sha256
