"""Real GGUF heads: llama.cpp's own vocabulary files, out of the source archive of llama-cpp-python."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from gguf import GGUFReader

from effort import calls, memory
from windlass.library.gguf import GgufHead, scan

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def vocabularies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The vocabulary files by name; 75 MB are fetched for them."""
    folder = tmp_path_factory.mktemp("vocabularies")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    done = subprocess.run([*command, "--dest", folder, "llama-cpp-python"], capture_output=True, text=True, check=False)
    archive = next(folder.glob("*.tar.gz"), None)
    if archive is None:
        pytest.skip(f"pip could not get the package: {done.stderr.strip()[-200:]}")
    with tarfile.open(archive) as tar:
        members = [member for member in tar if Path(member.name).match("*/vendor/llama.cpp/models/*.gguf")]
        tar.extractall(folder, members, filter="data")
    return {path.name: path for path in folder.rglob("*.gguf")}


def test_all_are_read(vocabularies: dict[str, Path]) -> None:
    """Each has an architecture and a context length, found with little work: nothing is made for a token."""
    assert len(vocabularies) >= 10
    for path in vocabularies.values():
        head = scan(path)
        assert head.architecture
        assert head.context_length
        assert calls(lambda: scan(path)) < 1500  # noqa: B023 - called here
        assert memory(lambda: scan(path)) < 2_000_000  # noqa: B023


@pytest.mark.parametrize("name", ["ggml-vocab-phi-3.gguf", "ggml-vocab-bert-bge.gguf"])
def test_as_the_gguf_package_reads_them(vocabularies: dict[str, Path], name: str) -> None:
    """Ours and the package's reader, which takes seconds for it, agree."""
    head, fields = scan(vocabularies[name]), GGUFReader(vocabularies[name]).fields
    expected = {key: field.contents() for key, field in fields.items() if not key.startswith("tokenizer.ggml")}
    assert _told(head) == {
        "architecture": expected["general.architecture"],
        "name": expected["general.name"],
        "context_length": expected[f"{head.architecture}.context_length"],
        "file_type": expected["general.file_type"],
        "chat_template": expected.get("tokenizer.chat_template"),
    }


def _told(head: GgufHead) -> dict[str, object]:
    return {
        name: getattr(head, name) for name in ("architecture", "name", "context_length", "file_type", "chat_template")
    }
