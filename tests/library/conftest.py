"""Real GGUF files by the `gguf` package, and an empty shelf to put them on."""

from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFEndian, GGUFWriter
from numpy import float32, zeros

from library.shelving import Put, WriteGguf
from windlass.library.shelf import Shelf


@pytest.fixture(scope="session")
def gguf_bytes(tmp_path_factory: pytest.TempPathFactory) -> WriteGguf:
    """A whole small GGUF model as bytes, as llama.cpp's own converter would write its head."""
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"

    def write(
        architecture: str = "qwen3",
        *,
        big_endian: bool = False,
        template: str | None = None,
        tokens: int = 5,
        **more: Any,
    ) -> bytes:
        writer = GGUFWriter(path, architecture, endianess=GGUFEndian.BIG if big_endian else GGUFEndian.LITTLE)
        writer.add_name(more.pop("name", "Qwen3 8B"))
        writer.add_context_length(more.pop("context_length", 40960))
        writer.add_block_count(36)
        writer.add_expert_count(4)
        writer.add_embedding_length(64)
        writer.add_size_label("8B") if more.pop("size_label", True) else None
        writer.add_file_type(more.pop("file_type", 15))
        writer.add_token_list([f"token {number}" for number in range(tokens)])
        writer.add_token_types([1] * tokens)
        writer.add_add_bos_token(True)
        if template is not None:
            writer.add_chat_template(template)
        for key, value in more.items():
            add = writer.add_string if isinstance(value, str) else writer.add_uint32
            add(key.replace("__", "."), value)
        writer.add_tensor("a.weight", zeros((8, 4), dtype=float32))
        writer.add_tensor("b.weight", zeros((16,), dtype=float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()

    return write


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """An empty shelf whose clock stands still."""
    (tmp_path / "models").mkdir()
    return Shelf(tmp_path / "models", tmp_path / "lmstudio", clock=lambda: 1_760_000_000.125)


@pytest.fixture
def put(shelf: Shelf) -> Put:
    """Put a file on the shelf as a person would."""

    def put(path: str, content: bytes = b"x") -> Path:
        place = shelf.models_dir / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return place

    return put
