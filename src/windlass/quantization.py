"""What a file's name says about a model: its quantization, its place in a set of shards, or that it is no model.

Values only, for the rooms that choose files from a listing and those that find them on a disk: the two must agree.

The parsers of the field do not (`Q4_0_4_4` is `Q4_0` to huggingface.js, `UD-Q4_K_XL` is `Q4_K_XL` to llama.cpp), so the
rules here keep all that a name tells apart: without `UD-` or `_4_4` two different files would look like one choice.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_PREFIX = r"(?:UD-)?(?:smol-)?(?:i1-)?"
_FAMILIES = (
    r"I?Q\d{1,2}(?:_(?:\d|K|S|M|L|H|X{1,3}[SL]|NL|P|KSS?|KT|KL|R[48]|G\d{2,3}))*",  # llama.cpp's and its forks'
    r"I2_S",  # BitNet's
    r"TQ\d_\d",
    r"BF16|FP?16|FP?32|FP[48]|INT[48]",
    r"MXFP[468](?:_MOE)?(?:_B?F16|[-_]Q\d)?|NVFP4",  # also with what its other tensors are in
    r"\d{1,2}(?:\.\d{1,2})?[-_]?bits?(?:-(?:DWQ|AWQ|GPTQ|QAT))?",  # MLX's
)
# Words end at anything but a letter or a digit, so `_` ends one too: `model_q4_0`, `Q4_K_M_imat`.
_LABEL = re.compile(rf"(?<![A-Za-z0-9]){_PREFIX}(?:{'|'.join(_FAMILIES)})(?![A-Za-z0-9])", re.IGNORECASE | re.ASCII)
_BIT = re.compile(r"(\d+(?:\.\d+)?)[-_]?bits?", re.IGNORECASE | re.ASCII)
_SHARD = re.compile(r"(?P<stem>.+)[-_](?P<index>\d{5,6})-of-(?P<count>\d{5,6})", re.ASCII)
_WEIGHTS = re.compile(r"\.(?:gguf|safetensors)\Z", re.IGNORECASE)
_PROJECTOR = re.compile(r"(?<![a-z0-9])(?:mmproj|vision[-_]encoder)|^projector[-_.]", re.IGNORECASE)
_VISION = re.compile(r"(?<![a-z0-9])vision(?![a-z0-9])", re.IGNORECASE)
_DRAFT = re.compile(r"^mtp-|(?<![a-z0-9])(?:draft|eagle3|dflash|dspark)(?![a-z0-9])", re.IGNORECASE)
_DRAFTS = frozenset({"draft", "drafts", "eagle3", "mtp", "dflash"})  # folders of them
_MATRIX = re.compile(r"imatrix", re.IGNORECASE)
_COARSE = 8  # bits from which on nobody needs an importance matrix to quantize


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` files that are a model only together; `index` counts from 1, seldom from 0.

    `stem` is the path before the shard number, so shards of one set, and no others, share `stem` and `count`.
    """

    stem: str
    index: int
    count: int


def label_in(name: str) -> str | None:
    """The quantization that one file's, folder's or repository's name states: the rightmost word that is one.

    `Q4_K_M`, `UD-Q4_K_XL`, `i1-IQ3_M`, `MXFP4` in capitals, `4bit` and `4bit-DWQ` as MLX writes them.
    """
    found = labels_in(name)
    return _natural(found[-1]) if found else None


def labels_in(name: str) -> list[str]:
    """All words of a name that state a quantization, as they stand there."""
    return _LABEL.findall(_WEIGHTS.sub("", name))


def label_of(path: str) -> str | None:
    """The quantization that a file's path states: in its name, else in the nearest folder that names one.

    The path is relative to the repository: an owner called `4bit-lab` says nothing about the file.
    """
    for name in reversed(path.split("/")):
        label = label_in(name)
        if label:
            return label
    return None


def shard_of(path: str) -> Shard | None:
    """The place of `…-00001-of-00003.gguf` (also `.safetensors`) in its set; None for a file that stands alone.

    `-split-00001-of-00002` needs no rule of its own: `-split` stays in the stem, which keeps two such sets apart.
    """
    match = _SHARD.fullmatch(_WEIGHTS.sub("", path))
    if match is None or not _WEIGHTS.search(path):
        return None
    shard = Shard(match["stem"], int(match["index"]), int(match["count"]))
    return shard if shard.count and shard.index <= shard.count else None


def is_gguf(path: str) -> bool:
    """Whether the name says GGUF, whatever its content; projectors and importance matrices among them."""
    return path.lower().endswith(".gguf")


def is_projector(path: str) -> bool:
    """Whether it is the vision half of a GGUF model, as `mmproj-F16.gguf` and `X.mmproj-f16.gguf` are."""
    *folders, name = path.lower().split("/")
    beside = "mmproj" in folders or ("vision" in folders and _VISION.search(name))
    return is_gguf(name) and bool(beside or _PROJECTOR.search(name))


def is_matrix(path: str) -> bool:
    """Whether it is an importance matrix, and no model that was quantized with one.

    Both say so in their names. But a matrix is computed from a model of full precision, and a quantization of eight
    bits or more needs none: a smaller one in the name is the model's own. `imatrix-Q4_K_M.gguf` is a matrix all the
    same.
    """
    name = path.rsplit("/", 1)[-1].lower()
    if name.endswith((".dat", ".imatrix")) or name.startswith("imatrix"):
        return True
    return bool(_MATRIX.search(name)) and (bits_of(label_in(name)) or _COARSE) >= _COARSE


def is_draft(path: str) -> bool:
    """Whether it is a draft for speculative decoding, which carries its model's name and cannot answer alone."""
    *folders, name = path.lower().split("/")
    return bool(_DRAFT.search(name)) or not _DRAFTS.isdisjoint(folders)


def is_decoy(path: str) -> bool:
    """Whether it looks like a model's file and is none: an importance matrix, or a draft model for another."""
    return is_matrix(path) or is_draft(path)


def fold(label: str) -> str:
    """A label with all that people vary taken out: case, `-` for `_`, `FP16` for `F16`, `4-bit` for `4bit`."""
    plain = _natural(label.strip()).lower().replace("-", "_")
    return re.sub(r"\bfp(16|32)$", r"f\1", plain)


def choose(wish: str, labels: Iterable[str]) -> str | None:
    """The label that a person means by `wish`, of those there are; None when there is none or more than one might be.

    An exact label comes first, in its own spelling before another (`F16` means the same as `FP16`). Else one that only
    adds a recipe's mark to the wish (`UD-`, `i1-`, `-DWQ`, `_MOE`), if no other does: `Q4_K_XL` gives `UD-Q4_K_XL`
    where that is the only one. A mark that was asked for is never dropped.
    """
    labels = list(dict.fromkeys(labels))
    wanted = fold(wish)
    exact = [label for label in labels if fold(label) == wanted]
    exact.sort(key=lambda label: label.lower() != wish.lower())
    found = exact[:1] or [label for label in labels if wanted in _unmarked(label)]
    return found[0] if len(found) == 1 else None


def bits_of(label: str | None) -> float | None:
    """Bits per weight as LM Studio states them: the number in the name (`Q4_K_M` 4, `IQ3_M` 3, `BF16` 16, `4bit` 4).

    Not size over parameters, which is nearer the truth (4.8 for Q4_K_M): clients compare this with the whole numbers
    that LM Studio's own lists hold. https://lmstudio.ai/docs/developer/rest/list
    """
    number = re.search(r"\d+(?:\.\d+)?", re.sub(rf"^{_PREFIX}", "", label or "", flags=re.IGNORECASE))
    if number is None:
        return None
    bits = float(number[0])
    return int(bits) if bits.is_integer() else bits


def _natural(label: str) -> str:
    if bits := _BIT.match(label):
        return f"{bits[1]}bit{label[bits.end() :].upper()}"
    return label.upper().replace("SMOL-", "smol-").replace("I1-", "i1-")


def bare(label: str) -> str:
    """A folded label without the marks in front: `UD-`, `smol-` and `i1-`."""
    return re.sub(r"^(?:ud_)?(?:smol_)?(?:i1_)?", "", fold(label))


def _unmarked(label: str) -> set[str]:
    """What a label is called, folded, by those who leave out its marks, or all but `_MOE`."""
    plain = re.sub(r"_(?:dwq|awq|gptq|qat)$", "", bare(label))
    called = {plain, bare(label)}
    if parts := re.fullmatch(r"(mxfp\d)(_moe)?(?:_b?f16|_(q\d))?", plain):
        family, moe, other = parts.groups()
        called |= {family, f"{family}{moe or ''}"} | ({other, f"{other[1:]}bit"} if other else set())
    return called
