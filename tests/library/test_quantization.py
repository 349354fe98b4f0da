"""What names say: labels, shards, projectors, decoys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.quantization import Shard, bits_of, choose, fold, is_decoy, is_projector, label_in, label_of, shard_of

LABELS = {
    "Qwen3-8B-Q4_K_M.gguf": "Q4_K_M",
    "qwen2.5-7b-instruct-q4_k_m.gguf": "Q4_K_M",
    "qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf": "Q4_K_M",
    "llama-2-7b-chat.Q4_K_M.gguf": "Q4_K_M",
    "ggml-model-q4_0.gguf": "Q4_0",
    "model_q8_0.gguf": "Q8_0",
    "Phi-3-mini-4k-instruct-q4.gguf": "Q4",
    "Phi-3-mini-4k-instruct-fp16.gguf": "FP16",
    "gemma-3-4b-it-qat-q4_0.gguf": "Q4_0",
    "Meta-Llama-3.1-8B-Instruct-Q4_0_4_4.gguf": "Q4_0_4_4",
    "Meta-Llama-3.1-8B-Instruct-Q6_K_L.gguf": "Q6_K_L",
    "Qwen3-8B-UD-Q4_K_XL.gguf": "UD-Q4_K_XL",
    "Qwen3-8B-Q4_K_XL.gguf": "Q4_K_XL",
    "DeepSeek-R1-UD-IQ1_S-00001-of-00003.gguf": "UD-IQ1_S",
    "UD-IQ1_S/DeepSeek-V3-UD-IQ1_S-00001-of-00004.gguf": "UD-IQ1_S",
    "UD-IQ1_S/DeepSeek-V3-00001-of-00004.gguf": "UD-IQ1_S",
    "DeepSeek-R1-UD-IQ1_S/model.gguf": "UD-IQ1_S",
    "BF16/Qwen3-30B-BF16-00001-of-00002.gguf": "BF16",
    "BF16/Qwen3-30B-00001-of-00002.gguf": "BF16",
    "deep/BF16/parts/model-00001-of-00002.gguf": "BF16",
    "Q8_0/Model-Q4_K_M.gguf": "Q4_K_M",
    "X.i1-IQ3_M.gguf": "i1-IQ3_M",
    "X.I1-Q4_K_M.gguf": "i1-Q4_K_M",
    "X.IQ4_XS.gguf": "IQ4_XS",
    "X-IQ2_XXS.gguf": "IQ2_XXS",
    "X-IQ4_NL.gguf": "IQ4_NL",
    "X-Q4_K_M-imat.gguf": "Q4_K_M",
    "X-Q4_K_M_imat.gguf": "Q4_K_M",
    "Llama-4bit-tuned-Q5_K_S.gguf": "Q5_K_S",
    "X-f16-Q6_K.gguf": "Q6_K",
    "gpt-oss-20b-mxfp4.gguf": "MXFP4",
    "gpt-oss-20b-MXFP4_MOE.gguf": "MXFP4_MOE",
    "X-NVFP4.gguf": "NVFP4",
    "X-TQ1_0.gguf": "TQ1_0",
    "ggml-model-i2_s.gguf": "I2_S",
    "X-F32.gguf": "F32",
    "X-BF16.gguf": "BF16",
    "X-IQ4_KS_R4.gguf": "IQ4_KS_R4",
    "X-Q4_K_M-split-00001-of-00002.gguf": "Q4_K_M",
    "Qwen3-4B-MLX-4bit": "4bit",
    "Qwen3-4B-8bit": "8bit",
    "Qwen3-4B-4-bit": "4bit",
    "Qwen3-4B-3.5bit": "3.5bit",
    "Qwen3-4B-4bit-DWQ": "4bit-DWQ",
    "Qwen3-4B-4bit-dwq-053125": "4bit-DWQ",
    "Qwen3-4B-MLX-bf16": "BF16",
    "gpt-oss-20b-mxfp4": "MXFP4",
    "Qwen3-4B-FP8": "FP8",
    "Qwen2.5-VL-7B-Instruct": None,
    "Qwen3-8B-128K.gguf": None,
    "SQ4_K_M.gguf": None,
    "bitnet-b1.58-2B-4T.gguf": None,
    "model.gguf": None,
    "": None,
}


@pytest.mark.parametrize(("path", "label"), LABELS.items())
def test_label(path: str, label: str | None) -> None:
    """The label is the rightmost word that is one, in the file's name or else in the nearest folder's."""
    assert label_of(path) == label


def test_label_in_reads_one_name_only() -> None:
    """A repository's name is read by itself: what its owner is called does not count."""
    assert label_in("Qwen3-8B") is None
    assert label_of("4bit-lab/Qwen3-8B") == "4bit"


@pytest.mark.parametrize(
    ("path", "shard"),
    [
        ("X-Q4_K_M-00001-of-00003.gguf", Shard("X-Q4_K_M", 1, 3)),
        ("a/X-00002-of-00003.gguf", Shard("a/X", 2, 3)),
        ("X-split-00001-of-00002.gguf", Shard("X-split", 1, 2)),
        ("X-00001-of-00001.GGUF", Shard("X", 1, 1)),
        ("model-00001-of-000163.safetensors", Shard("model", 1, 163)),
        ("X-00000-of-00003.gguf", Shard("X", 0, 3)),
        ("model_00001-of-00002.safetensors", Shard("model", 1, 2)),
        ("X-00001-of-00000.gguf", None),
        ("X-00004-of-00003.gguf", None),
        ("X-1-of-3.gguf", None),
        ("X-00001-of-00003.txt", None),
        ("-00001-of-00003.gguf", None),
        ("X.gguf", None),
    ],
)
def test_shard(path: str, shard: Shard | None) -> None:
    """A shard knows its set (stem and count) and its place; an impossible place is no shard."""
    assert shard_of(path) == shard


@pytest.mark.parametrize(
    ("path", "projector", "decoy"),
    [
        ("mmproj-F16.gguf", True, False),
        ("mmproj-model-f16.gguf", True, False),
        ("X.mmproj-Q8_0.gguf", True, False),
        ("sub/X-mmproj-f16.gguf", True, False),
        ("mmproj/model-f16.gguf", True, False),
        ("mmproj.json", False, False),
        ("X-Q4_K_M.gguf", False, False),
        ("imatrix.dat", False, True),
        ("X.imatrix.gguf", False, True),
        ("imatrix_unsloth.gguf", False, True),
        ("X-imatrix.dat", False, True),
        ("calibration.dat", False, True),
        ("mtp-Qwen3-Q8_0.gguf", False, True),
        ("drafts/eagle3-X.gguf", False, True),
        ("dflash-X.gguf", False, True),
        ("dspark-X.gguf", False, True),
        ("X-Q4_K_M-imat.gguf", False, False),
        ("GLM-mtp-9B-Q4_K_M.gguf", False, False),
    ],
)
def test_what_is_no_model(path: str, projector: bool, decoy: bool) -> None:
    """Projectors are told by `mmproj`; importance matrices and drafts are decoys, wherever they stand."""
    assert (is_projector(path), is_decoy(path)) == (projector, decoy)


@pytest.mark.parametrize(
    ("wish", "labels", "choice"),
    [
        ("q4_k_m", ["Q8_0", "Q4_K_M"], "Q4_K_M"),
        ("q4-k-m", ["Q4_K_M"], "Q4_K_M"),
        ("f16", ["FP16"], "FP16"),
        ("FP16", ["BF16", "F16"], "F16"),
        ("f16", ["FP16", "F16"], "F16"),
        ("4-BIT", ["4bit", "8bit"], "4bit"),
        ("Q4_K_XL", ["UD-Q4_K_XL", "Q4_K_M"], "UD-Q4_K_XL"),
        ("Q4_K_XL", ["UD-Q4_K_XL", "Q4_K_XL"], "Q4_K_XL"),
        ("Q4_K_M", ["UD-Q4_K_M", "i1-Q4_K_M"], None),
        ("UD-Q4_K_XL", ["Q4_K_XL"], None),
        ("UD-Q4_K_XL", ["UD-Q4_K_XL"], "UD-Q4_K_XL"),
        ("IQ3_M", ["i1-IQ3_M"], "i1-IQ3_M"),
        ("4bit", ["4bit-DWQ"], "4bit-DWQ"),
        ("4bit-dwq", ["4bit", "4bit-DWQ"], "4bit-DWQ"),
        ("Q4_K_M", ["Q4_K_M", "Q4_K_M"], "Q4_K_M"),
        ("Q4", ["Q4_K_M", "Q4_0"], None),
        ("", ["Q4_K_M"], None),
    ],
)
def test_choose(wish: str, labels: list[str], choice: str | None) -> None:
    """An exact label, then the only one that adds a mark to it; never a guess between two."""
    assert choose(wish, labels) == choice


@pytest.mark.parametrize(
    ("label", "bits"),
    [
        ("Q4_K_M", 4),
        ("UD-Q4_K_XL", 4),
        ("i1-IQ3_M", 3),
        ("Q8_0", 8),
        ("BF16", 16),
        ("FP16", 16),
        ("F32", 32),
        ("MXFP4_MOE", 4),
        ("TQ1_0", 1),
        ("4bit-DWQ", 4),
        ("3.5bit", 3.5),
        ("ODD", None),
        (None, None),
    ],
)
def test_bits(label: str | None, bits: float | None) -> None:
    """Bits per weight are the number in the name, whole where it is whole."""
    assert bits_of(label) == bits


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    """No text makes a parser raise, and a label found is found again in itself, by any case."""
    shard_of(text), is_projector(text), is_decoy(text), bits_of(text), fold(text)
    label = label_of(text)
    if label is not None:
        assert label_in(label) == label
        assert choose(label.swapcase(), [label]) == label


@given(st.sampled_from([label for label in LABELS.values() if label]), st.text("abcZ-._ /"))
def test_label_survives_what_surrounds_it(label: str, before: str) -> None:
    """What stands before a label does not change it, as long as it is no part of the word."""
    assert label_of(f"{before}/{label}.gguf") == label
