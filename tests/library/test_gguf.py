"""The GGUF scanner against heads that the `gguf` package wrote, and against every way to damage them."""

import struct
from pathlib import Path
from typing import Any

import pytest
from gguf import GGML_QUANT_SIZES, LlamaFileType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import calls, memory
from library.shelving import WriteGguf
from windlass.library.gguf import (
    _BLOCK,
    _BLOCKS,
    _MANY_TEXTS,
    MAX_ELEMENTS,
    MAX_TEMPLATE,
    Damaged,
    GgufHead,
    _Cursor,
    _scan,
    scan,
)
from windlass.library.heads import FILE_TYPES, read_gguf
from windlass.library.opening import open_file


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def file(*pairs: bytes, version: int = 3, tensors: int = 0, count: int | None = None, rest: bytes = b"") -> bytes:
    """A GGUF file by hand, to say what no writer would."""
    head = struct.pack("<4sIQQ", b"GGUF", version, tensors, len(pairs) if count is None else count)
    return head + b"".join(pairs) + rest


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key.encode()) + struct.pack("<I", kind) + value


def array(kind: int, count: int, items: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + items


@pytest.fixture
def scan_bytes(tmp_path: Path) -> Any:
    def scan_bytes(content: bytes) -> GgufHead:
        path = tmp_path / "x.gguf"
        path.write_bytes(content)
        return scan(path)

    return scan_bytes


@pytest.mark.parametrize("big_endian", [False, True])
def test_a_real_head(gguf_bytes: WriteGguf, scan_bytes: Any, big_endian: bool) -> None:
    """All that the lists want is read, in either byte order, past arrays of tokens."""
    head = scan_bytes(gguf_bytes(big_endian=big_endian, template="{{ tools }}"))
    assert head == GgufHead(
        version=3,
        tensor_count=2,
        architecture="qwen3",
        name="Qwen3 8B",
        size_label="8B",
        kind=None,
        file_type=15,
        context_length=40960,
        block_count=36,
        expert_count=4,
        embedding_length=64,
        chat_template="{{ tools }}",
        tool_template=False,
        split=None,
        parameters=8 * 4 + 16,
        pooling=False,
    )


def test_version_2_is_read(gguf_bytes: WriteGguf, scan_bytes: Any) -> None:
    """Version 2 differs from 3 in nothing that a little-endian file shows."""
    content = bytearray(gguf_bytes())
    content[4] = 2
    assert scan_bytes(bytes(content)).version == 2


def test_split_pooling_and_second_templates(gguf_bytes: WriteGguf, scan_bytes: Any) -> None:
    """A shard knows its place, an embedding model its pooling, and a template for tools is noticed."""
    more = {"split__no": 0, "split__count": 3, "qwen3__pooling_type": 3, "tokenizer__chat_template__tool_use": "x"}
    head = scan_bytes(gguf_bytes(**more))
    assert (head.split, head.pooling, head.tool_template) == ((0, 3), True, True)


def test_every_kind_of_value_is_passed_over(scan_bytes: Any) -> None:
    """Scalars and arrays of all thirteen types, nested ones too, are skipped by their size."""
    widths = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    pairs = [pair(f"x.{kind}", kind, bytes(width)) for kind, width in widths.items()]
    pairs += [pair(f"x.a{kind}", 9, array(kind, 3, bytes(3 * width))) for kind, width in widths.items()]
    pairs += [pair("x.s", 8, text(b"abc")), pair("x.as", 9, array(8, 2, text(b"abc") + text(b"")))]
    pairs += [pair("x.aa", 9, array(9, 2, array(4, 1, bytes(4)) + array(8, 1, text(b"z"))))]
    assert scan_bytes(file(*pairs, pair("general.name", 8, text(b"after all")))).name == "after all"


@pytest.mark.parametrize(
    "value",
    [pair("x.context_length", 8, text(b"many")), pair("x.context_length", 6, struct.pack("<f", 1.5)),
     pair("x.context_length", 11, struct.pack("<q", -1)), pair("x.context_length", 10, struct.pack("<Q", 2**60)),
     pair("x.context_length", 7, b"\1"), pair("x.context_length", 9, array(4, 1, bytes(4)))],
)  # fmt: skip
def test_nonsense_is_as_if_absent(scan_bytes: Any, value: bytes) -> None:
    """A value of the wrong type or an impossible size says nothing, and the rest is still read."""
    head = scan_bytes(file(pair("general.architecture", 8, text(b"x")), value))
    assert (head.architecture, head.context_length) == ("x", None)


def test_texts_are_tamed(scan_bytes: Any) -> None:
    """Control characters and bad UTF-8 leave a name, and a template is cut to its bound."""
    name, template = pair("general.name", 8, text(b"a\x1b[31m\xff\n b")), b"t" * (MAX_TEMPLATE + 10)
    head = scan_bytes(file(name, pair("tokenizer.chat_template", 8, text(template))))
    assert head.name == "a[31m\N{REPLACEMENT CHARACTER} b"
    assert len(head.chat_template or "") == MAX_TEMPLATE


DEEP = b"".join(array(9, 1) for _ in range(5)) + array(4, 1, bytes(4))
DAMAGES = {
    "empty": b"",
    "no magic": b"GGML" + bytes(40),
    "version 1": file(version=1),
    "version 4": file(version=4),
    "version from nowhere": file(version=0x00AB0000),
    "pairs without end": file(count=2**63),
    "tensors without end": file(tensors=2**63),
    "more pairs than there are": file(pair("general.name", 8, text(b"x")), count=2),
    "key longer than the file": file(text(b"")[:-8] + struct.pack("<Q", 2**62)),
    "key longer than keys are": file(pair("k" * 70_000, 4, bytes(4))),
    "text longer than the file": file(pair("general.name", 8, struct.pack("<Q", 5_000_000))),
    "text longer than texts are": file(pair("general.name", 8, struct.pack("<Q", 2**40))),
    "skipped text longer than the file": file(pair("x", 8, struct.pack("<Q", 2**64 - 1))),
    "unknown type": file(pair("x", 13, bytes(8))),
    "unknown type of a wanted fact": file(pair("general.file_type", 99, bytes(8))),
    "unknown type in an array": file(pair("x", 9, array(13, 1, bytes(8)))),
    "array longer than the file": file(pair("x", 9, array(0, 1000))),
    "array longer than arrays are": file(pair("x", 9, array(0, MAX_ELEMENTS + 1))),
    "array of texts longer than the file": file(pair("x", 9, array(8, 1000, text(b"x")))),
    "arrays too deep": file(pair("x", 9, DEEP)),
    "arrays too many": file(pair("x", 9, array(9, MAX_ELEMENTS, array(0, 0) * 10))),
    "a tensor of nine dimensions": file(tensors=1, rest=text(b"t") + struct.pack("<I", 9) + bytes(90)),
    "a tensor beyond the end": file(tensors=1, rest=text(b"t") + struct.pack("<IQIQ", 1, 4, 0, 10**6)),
}


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage(scan_bytes: Any, content: bytes) -> None:
    """Damage is one error, whatever it is, and its message can be shown to a person."""
    with pytest.raises(Damaged, match=r"^(it|its|a) "):
        scan_bytes(content)


def test_a_real_file_cut_short_anywhere(gguf_bytes: WriteGguf, scan_bytes: Any) -> None:
    """A file cut anywhere is damaged: the last tensor's bytes are counted, so not one may be missing."""
    content = gguf_bytes()  # its last tensor has 64 bytes, so no padding follows
    assert scan_bytes(content)
    for end in [*range(0, len(content), 7), len(content) - 1]:
        with pytest.raises(Damaged):
            scan_bytes(content[:end])


@settings(max_examples=300, deadline=1000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flip(gguf_bytes: WriteGguf, tmp_path: Path, data: st.DataObject) -> None:
    """Bytes overwritten anywhere in a real head give a head or `Damaged`, nothing else, and quickly."""
    content = bytearray(_real(gguf_bytes))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        new = data.draw(st.binary(min_size=1, max_size=8))
        content[at : at + len(new)] = new
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    try:
        head = scan(path)
    except Damaged:
        return
    assert head.tensor_count >= 0


_kept: list[bytes] = []


def _real(gguf_bytes: WriteGguf) -> bytes:
    """One real head, written once: a property looks at hundreds of its damages."""
    if not _kept:
        _kept.append(gguf_bytes(template="{{ tools }}"))
    return _kept[0]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), claimed=st.booleans())
def test_any_bytes(tmp_path: Path, content: bytes, claimed: bool) -> None:
    """Any bytes, with or without a plausible beginning, give a head or `Damaged`."""
    path = tmp_path / "x.gguf"
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 1, 2) + content if claimed else content)
    try:
        read_gguf(path)
    except Damaged:
        return


def test_a_head_longer_than_heads_are(scan_bytes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that goes on beyond the bound is damage, though the file has all of it."""
    content = file(pair("x", 9, array(0, 5000, bytes(5000))), pair("general.name", 8, text(b"x")))
    assert scan_bytes(content).name == "x"
    monkeypatch.setattr("windlass.library.gguf.MAX_HEAD", 4096)
    with pytest.raises(Damaged, match="longer than 4096 bytes"):
        scan_bytes(content)


def test_the_tables_are_ggmls_own() -> None:
    """Sizes of tensor types and names of file types agree with the `gguf` package's."""
    sizes = {int(kind): size for kind, size in GGML_QUANT_SIZES.items()}
    assert {kind: sizes[kind] for kind in _BLOCKS} == _BLOCKS
    names = {int(kind): kind.name.removeprefix("ALL_").removeprefix("MOSTLY_") for kind in LlamaFileType}
    assert {kind: names[kind] for kind in FILE_TYPES} == FILE_TYPES


def test_a_real_vocabulary_is_quick(gguf_bytes: WriteGguf, tmp_path: Path) -> None:
    """150,000 tokens are passed over: no function is called and nothing is kept for any of them."""
    few, many = tmp_path / "few.gguf", tmp_path / "many.gguf"
    few.write_bytes(gguf_bytes(tokens=5, template="at the end"))
    many.write_bytes(gguf_bytes(tokens=150_000, template="at the end"))
    assert scan(many).chat_template == "at the end"
    blocks = many.stat().st_size // _BLOCK + 1
    assert calls(lambda: scan(many)) <= calls(lambda: scan(few)) + 5 * blocks
    assert memory(lambda: scan(many)) < 4 * _BLOCK


def vocabulary(*tokens: bytes) -> bytes:
    """A head whose vocabulary ends in these tokens, with a fact after it that begins as a leap wants it."""
    all_tokens = [b"a token of some length"] * _MANY_TEXTS + list(tokens)
    texts = pair("tokenizer.ggml.tokens", 9, array(8, len(all_tokens), b"".join(map(text, all_tokens))))
    return file(texts, pair("tokenizer.ggml.bos_token_id", 4, bytes(4)), pair("general.name", 8, text(b"here")))


def test_a_vocabulary_is_leapt_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the fact behind it, wherever the blocks that are read begin and end."""
    monkeypatch.setattr("windlass.library.gguf._BLOCK", 64)
    path = tmp_path / "x.gguf"
    for number in range(70):
        path.write_bytes(vocabulary(bytes(number)))
        with open_file(path) as opened:
            cursor = _Cursor(opened, path.stat().st_size, may_leap=True)
            assert _scan(cursor).name == "here"
            assert cursor.has_leapt


@pytest.mark.parametrize("following", range(20))
def test_a_token_that_looks_like_a_fact(scan_bytes: Any, following: int) -> None:
    """Whatever comes after it, by which it might be taken for a fact of some type: the head is read as it is."""
    assert scan_bytes(vocabulary(b"tokenizer.", b"x" * following, b"more")).name == "here"
    assert scan_bytes(vocabulary(b"tokenizer.ggml.eos", bytes(following), bytes(99))).name == "here"


@pytest.mark.parametrize("after", [b"", pair("general.file_type", 4, bytes(4))])
def test_a_vocabulary_with_nothing_to_leap_to(scan_bytes: Any, after: bytes) -> None:
    """Its texts are gone through one by one, and not one may be missing."""
    texts = pair("x", 9, array(8, 2 * _MANY_TEXTS, text(b"abcdefghijkl") * 2 * _MANY_TEXTS))
    whole = file(pair("general.name", 8, text(b"here")), texts, *[after] * bool(after))
    assert scan_bytes(whole).name == "here"
    with pytest.raises(Damaged, match="cut short"):
        scan_bytes(whole[:-1])


HEADS_WITHOUT_MEASURE = {
    "many templates": [
        pair(f"tokenizer.chat_template.{n}", 8, text("😀".encode() + b"x" * 200_000)) for n in range(100)
    ],
    "a template twice": [pair("tokenizer.chat_template", 8, text("😀".encode() * 1_000_000))] * 5,
    "keys without end": [pair("😀" * 16_000 + f"{n}.context_length", 4, bytes(4)) for n in range(300)],
    "texts for numbers": [pair(f"{n}.context_length", 8, text(b"x" * 200_000)) for n in range(100)],
    "many of all": [pair(f"{n:060}.context_length"[-60:], 4, bytes(4)) for n in range(20_000)],
}


@pytest.mark.parametrize("pairs", HEADS_WITHOUT_MEASURE.values(), ids=HEADS_WITHOUT_MEASURE.keys())
def test_little_is_kept_of_a_head(scan_bytes: Any, tmp_path: Path, pairs: list[bytes]) -> None:
    """A head of some 20 MB, made to fill memory, is scanned in less than what one template may take."""
    scan_bytes(file(*pairs))
    assert memory(lambda: scan(tmp_path / "x.gguf")) < 16_000_000


def test_arrays_within_arrays_cost_little(tmp_path: Path) -> None:
    """A hole in a file reads as millions of empty arrays, one call each: they are not gone through."""
    path = tmp_path / "x.gguf"
    path.write_bytes(file(pair("x", 9, array(9, MAX_ELEMENTS // 2))))
    with path.open("r+b") as hole:
        hole.truncate(2**27)

    def read() -> None:
        with pytest.raises(Damaged):
            scan(path)

    assert calls(read) < 200_000


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ("model", "Q4_K_M", False, False)),
        ({"template": "{% if tools %}"}, ("model", "Q4_K_M", True, False)),
        ({"template": "footools"}, ("model", "Q4_K_M", False, False)),
        ({"architecture": "clip"}, ("projector", "Q4_K_M", False, False)),
        ({"general__type": "mmproj"}, ("projector", "Q4_K_M", False, False)),
        ({"general__type": "adapter"}, ("adapter", "Q4_K_M", False, False)),
        ({"general__type": "imatrix"}, ("imatrix", "Q4_K_M", False, False)),
        ({"architecture": "nomic-bert", "file_type": 1}, ("model", "F16", False, True)),
        ({"qwen3__pooling_type": 3, "file_type": 99}, ("model", None, False, True)),
    ],
)
def test_what_a_head_means(
    gguf_bytes: WriteGguf, tmp_path: Path, more: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    """Kind, quantization, tool use and embedding are told by the head."""
    path = tmp_path / "x.gguf"
    path.write_bytes(gguf_bytes(**more))
    head = read_gguf(path)
    assert (head.kind, head.quantization, head.tool_use, head.embedding) == expected


def test_parameters_of_a_shard_are_not_the_models(gguf_bytes: WriteGguf, tmp_path: Path) -> None:
    """One shard's tensors are not all, so nothing is counted."""
    path = tmp_path / "x.gguf"
    path.write_bytes(gguf_bytes(split__no=0, split__count=2))
    assert read_gguf(path).parameters is None
