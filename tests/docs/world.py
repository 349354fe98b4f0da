"""A machine for the docs' commands: a network of its own, a hub with what the pages name, a home for each page.

The network is that of one thread (Linux's network namespaces), so 127.0.0.1:1234 is free there, whatever else runs, and
192.168.1.20 is this machine. Whatever the thread starts is in that network too.
"""

import ctypes
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from docs import tables
from docs.pages import Block
from e2e.conftest import gguf
from standin import ALWAYS, Hub, faults

PREAMBLE = Path(__file__).parent / "preamble.sh"
BIN = Path(sys.executable).parent
PATIENCE = 120.0

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET, linux/sched.h
_CATALOG = """\
model: qwen/qwen3-4b-2507
base:
  - key: lmstudio-community/qwen3-4b-instruct-2507-gguf
    sources: [{type: huggingface, user: lmstudio-community, repo: Qwen3-4B-Instruct-2507-GGUF}]
  - key: lmstudio-community/qwen3-4b-instruct-2507-mlx-4bit
    sources: [{type: huggingface, user: lmstudio-community, repo: Qwen3-4B-Instruct-2507-MLX-4bit}]
metadataOverrides:
  domain: llm
  architectures: [qwen3]
  compatibilityTypes: [gguf, safetensors]
  paramsStrings: [4B]
  contextLengths: [262144]
  vision: false
  reasoning: false
  trainedForToolUse: true
"""
_KIB = 1024


class Unavailable(Exception):
    """No network of its own can be had here."""


@dataclass(frozen=True)
class Ran:
    """What came of a page: its exit code, what each block said, and the commands that were only noted."""

    code: int
    said: list[str]
    noted: list[str]


class World:
    """See the module. Everything happens on one thread, for only that one is in the network."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread
        self.hub = thread.submit(_begin).result()

    def run(self, blocks: list[Block], root: Path) -> Ran:
        """Run a page's blocks in order, in a home below `root`; it ends with the first one that fails."""
        return self._thread.submit(_run, self.hub, blocks, root).result()


@contextmanager
def world() -> Iterator[World]:
    """One. Raises Unavailable."""
    with ThreadPoolExecutor(1, "docs") as thread:
        made = World(thread)
        try:
            yield made
        finally:
            made.hub.close()


def _begin() -> Hub:
    if sys.platform != "linux" or ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK):
        raise Unavailable("the docs' commands need a network of their own: Linux, and root")
    for words in ("link set lo up", "address add 192.168.1.20/32 dev lo"):
        subprocess.run(["ip", *words.split()], check=True)
    hub = Hub()
    _fill(hub)
    return hub


def _fill(hub: Hub) -> None:
    """With what the pages name, small."""
    texts = {"README.md": b"# Qwen", "config.json": b'{"model_type": "qwen3"}'}
    for owner, name, quantizations in tables.REPOSITORIES:
        weights = {
            f"{name}-{quantization}.gguf": gguf(100 * _KIB * (at + 1), crc32(name.encode()) + at)
            for at, quantization in enumerate(quantizations)
        }
        hub.add(f"{owner}/{name}-GGUF", {**weights, **texts})
    header = b'{"__metadata__":{}}'
    mlx = {
        "config.json": b'{"model_type": "qwen3", "quantization": {"bits": 4, "group_size": 64}}',
        "tokenizer.json": b"{}",
        "model.safetensors": len(header).to_bytes(8, "little") + header,
    }
    hub.add("lmstudio-community/Qwen3-4B-Instruct-2507-MLX-4bit", mlx)
    both = [f"lmstudio-community/Qwen3-4B-Instruct-2507-{kind}" for kind in ("GGUF", "MLX-4bit")]
    hub.add_model(_CATALOG, "qwen", "qwen3-4b-2507", *both)
    gated = {"gemma-3-4b-it-q4_0.gguf": gguf(100 * _KIB, 77)}
    hub.add(tables.GATED, gated, gated="manual", granted={tables.HUB_TOKEN})
    hub.tokens.add(tables.HUB_TOKEN)
    hub.add("slow/Slow-GGUF", {"Slow-Q4_K_M.gguf": gguf(2000 * _KIB, 78)})
    hub.misbehave("cdn", faults.stall(after=1000), path="Slow-Q4_K_M.gguf", times=ALWAYS)


def _run(hub: Hub, blocks: list[Block], root: Path) -> Ran:
    work = root / "work"
    work.mkdir()
    for place in ("ada", "media/stick", "mnt", "srv"):
        (root / place).mkdir(parents=True)
    script = [f". {shlex.quote(str(PREAMBLE))}", *tables.functions()]
    script += [] if "windlass serve" in (text := _all(blocks)) or not tables.SERVED.search(text) else ["windlass serve"]
    for at, block in enumerate(blocks):
        (work / f"{at}.{block.language}").write_text(_here(block.text, root), encoding="utf-8")
        script.append(_call(at, block, root))
        _download(block.text, root / "ada")
    (work / "page.sh").write_text("\n".join(script), encoding="utf-8")
    code = _bash(work / "page.sh", _environment(hub, root))
    said = [path.read_text(encoding="utf-8") for at in range(len(blocks)) if (path := work / f"{at}.out").exists()]
    noted = work / "not-run"
    return Ran(code, [_there(text, root) for text in said], noted.read_text().splitlines() if noted.exists() else [])


def _all(blocks: list[Block]) -> str:
    return "\n".join(block.text for block in blocks)


def _call(at: int, block: Block, root: Path) -> str:
    """Run a block; on another machine with another home, and without the server that this one has."""
    if not block.machine:
        return f"run {at} {block.language}"
    home = root / block.machine
    home.mkdir(exist_ok=True)
    return f"( export HOME={shlex.quote(str(home))} WINDLASS_URL=http://127.0.0.1:9; cd; run {at} {block.language} )"


def _bash(script: Path, environment: dict[str, str]) -> int:
    """Its exit code. Whatever is asked is answered with yes."""
    command = ["bash", "-c", f"yes | bash {shlex.quote(str(script))}; exit ${{PIPESTATUS[1]}}"]
    with (
        script.with_suffix(".log").open("wb") as log,
        subprocess.Popen(
            command, env=environment, cwd=environment["HOME"], stdout=log, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            return process.wait(PATIENCE)
        finally:
            _end(process.pid)


def _end(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _environment(hub: Hub, root: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in {"LANG", "LC_ALL", "LD_LIBRARY_PATH"}}
    return {
        **kept,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(root / "ada"),
        "WORK": str(root / "work"),
        "BIN": str(BIN),
        "CURL": tables.program("curl"),
        "SERVER": "http://127.0.0.1:1234",
        "WINDLASS_HF_ENDPOINT": hub.url,
        "WINDLASS_CATALOG_URL": hub.url,
        "WINDLASS_MIN_FREE": "0",
        "NO_COLOR": "1",
        "COLUMNS": "160",
    }


def _here(text: str, root: Path) -> str:
    """With other disks below `root`."""
    return tables.DISKS.sub(rf"{root}/\1/", text)


def _there(text: str, root: Path) -> str:
    """As a person sees it."""
    return re.sub(rf"{root}/(?!media|mnt|srv|work)\w+", "/home/ada", text).replace(str(root), "")


def _download(text: str, home: Path) -> None:
    """What a page finds in ~/Downloads, a browser has put there."""
    for name in tables.DOWNLOADED.findall(text):
        path = home / "Downloads" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gguf(100 * _KIB, len(name)))
