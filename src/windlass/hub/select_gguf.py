"""Which GGUF files make the model: one quantization, whole, with its vision projector. Pure.

Where answers differ in the field we take LM Studio's, then llama.cpp's:
- nothing asked: Q4_K_M (both), then its nearest 4-bit neighbours, then Q8_0 (llama.cpp), then the largest that fits,
  of 16 bits and more only where there is nothing else;
- the projector comes along unasked (both), F16 before BF16;
- an address of one file brings that file alone, but a shard brings its set (llama.cpp): half a set cannot be loaded.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from windlass.errors import NoModelFiles, QuantizationNotFound
from windlass.hub.listing import HubFile
from windlass.hub.selection import Chosen, Selection, Wish, offered, size_of
from windlass.hub.sets import file_sets
from windlass.quantization import (
    bare,
    bits_of,
    choose,
    fold,
    is_draft,
    is_gguf,
    is_matrix,
    is_projector,
    label_in,
    label_of,
    labels_in,
)

RAW_PART = re.compile(r"(.*\.gguf)(?:[-.]part|[-.]split|\.\d).*", re.IGNORECASE)
"""A piece of a GGUF that was cut up without regard to its content; the whole one's name is the group."""

# Nothing asked: the first of these that is there. Q4_K is llama.cpp's other name for Q4_K_M. Marks (`UD-`, `i1-`) do
# not count, but a plain label comes before a marked one.
_DEFAULTS = ("q4_k_m", "q4_k", "q4_k_s", "q4_k_l", "q4_k_xl", "iq4_nl", "iq4_xs", "q4_1", "q4_0", "4bit", "4bit_dwq")
_DEAD = frozenset({"q4_0_4_4", "q4_0_4_8", "q4_0_8_8"})  # llama.cpp reads these no longer
_FULL = 16  # bits of a model that is not quantized
_PROJECTORS = ("f16", "bf16", "q8_0", "f32")
_Choice = tuple[str | None, str, bool]  # a label, the rule that took it, and whether size has decided
# Words in the names of files that stand beside a model and are another one, or not for this kind of machine.
_BESIDE = frozenset({"lora", "be", "vocoder", "tokenizer", "tts", "audio", "encoder", "decoder", "clip"})


@dataclass(frozen=True, slots=True)
class Variant:
    """Files that are one model together: a single file, or all shards of a set, in order."""

    label: str | None
    files: tuple[HubFile, ...]

    @property
    def path(self) -> str:
        """Of the first file."""
        return self.files[0].path

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return size_of(self.files)


@dataclass(frozen=True, slots=True)
class GgufFiles:
    """What a repository holds in GGUF.

    Attributes:
        variants: every model that can be had whole.
        broken: labels (or paths) of sets with shards missing.
        projectors: each whole.
        raw: labels of what is there only in raw parts, which somebody has to join.
        homes: the folders that models stand in.
    """

    variants: tuple[Variant, ...]
    broken: tuple[str, ...]
    projectors: tuple[Variant, ...]
    raw: tuple[str, ...] = ()
    homes: frozenset[str] = frozenset()


def holds_model(file: HubFile) -> bool:
    """Whether it is a GGUF model or a part of one, by its name; a draft counts too. An empty file is none."""
    return is_gguf(file.path) and bool(file.size) and not is_matrix(file.path) and not is_projector(file.path)


def gguf_files(files: Iterable[HubFile], repo: str) -> GgufFiles:
    """Sort a listing's GGUF files: models, and what goes along with them."""
    files = list(files)
    variants, broken = _variants(_main([file for file in files if holds_model(file)]))
    sighted = (file for file in files if is_projector(file.path) and file.size and not is_matrix(file.path))
    projectors, _ = _variants(sighted)
    raw = {label_of(match[1]) for file in files if (match := RAW_PART.fullmatch(file.path))}
    return GgufFiles(
        tuple(_labelled_by_repo(variants, repo)),
        broken,
        tuple(projectors),
        tuple(label for label in raw if label),
        frozenset(_folder(variant.path) for variant in variants),
    )


def _main(models: list[HubFile]) -> list[HubFile]:
    """Those that are no draft for another and nothing that stands beside one; where nothing else is, those are it."""
    whole = [file for file in models if not is_draft(file.path)] or models
    return [file for file in whole if _BESIDE.isdisjoint(_words(file.path.rpartition("/")[2]))] or whole


def _variants(files: Iterable[HubFile]) -> tuple[list[Variant], tuple[str, ...]]:
    sets = file_sets(files)
    whole = [Variant(label_of(one.stem), one.files) for one in sets if one.whole]
    return whole, tuple(label_of(one.stem) or one.stem for one in sets if not one.whole)


def _labelled_by_repo(variants: Sequence[Variant], repo: str) -> list[Variant]:
    """A single file that states nothing has the quantization that the repository's name states."""
    if len(variants) != 1 or variants[0].label:
        return list(variants)
    return [Variant(label_in(repo.rpartition("/")[2]), variants[0].files)]


def select_gguf(found: GgufFiles, wish: Wish, repo: str) -> Selection:
    """One quantization of `found`, and a projector if there is one.

    Raises:
        NoModelFiles: only sets with shards missing.
        QuantizationNotFound: not in the quantization asked for, or the wish fits several.
    """
    if not found.variants:
        raise NoModelFiles(f"{repo} holds GGUF shards, but no complete set: {', '.join(sorted(found.broken))}.")
    by_label = _one_each(found.variants, repo)
    choice = _wished(wish.quantization, by_label, found, repo) if wish.quantization else _default(by_label, wish)
    label, reason, by_size = choice
    variant = by_label[label]
    projector = _projector_for(variant, found)
    extra = projector.files if projector else ()
    weights = [Chosen(file) for file in variant.files]
    return Selection(
        (*weights, *(Chosen(file, "projector") for file in extra)),
        "gguf",
        label,
        {name: v.size + size_of(extra) for name, v in by_label.items() if name},
        " ".join((reason, *_remarks(variant, found.variants, projector))),
        by_size=by_size,
    )


def _one_each(variants: Iterable[Variant], repo: str) -> dict[str | None, Variant]:
    """One variant a label, of those that are called alike.

    First what the name says: no second quantization (that of some tensors: `X-bf16-q8_0`), and the repository's own
    name. Then nearer the root, whole before sharded, and the largest: a text encoder or a small sister is smaller than
    the model.
    """
    stem = fold(repo.rpartition("/")[2]).removesuffix("_gguf")

    def rank(variant: Variant) -> tuple[int, bool, int, bool, int, str]:
        name = variant.path.rpartition("/")[2]
        unlike = not fold(name).startswith(stem)
        sharded, depth = len(variant.files) > 1, variant.path.count("/")
        return len(labels_in(name)), unlike, depth, sharded, -variant.size, variant.path

    by_label: dict[str | None, Variant] = {}
    for variant in sorted(variants, key=rank):
        by_label.setdefault(variant.label, variant)
    return by_label


def _wished(wish: str, by_label: Mapping[str | None, Variant], found: GgufFiles, repo: str) -> _Choice:
    labels = [label for label in by_label if label]
    label = choose(wish, labels)
    if label is None:
        raise _not_found(wish, by_label, found, repo)
    exact = fold(label) == fold(wish)
    return label, f"{label} was asked for." if exact else f"{label} is the only one that {wish!r} can mean.", False


def _not_found(wish: str, by_label: Mapping[str | None, Variant], found: GgufFiles, repo: str) -> QuantizationNotFound:
    sizes = {label: variant.size for label, variant in by_label.items() if label}
    if any(fold(label) == fold(wish) for label in found.broken):
        what = f"{repo} holds {wish} with shards missing, so it cannot be loaded."
    elif any(fold(label) == fold(wish) for label in found.raw):
        what = f"{repo} holds {wish} only in raw parts that must be joined by hand."
    else:
        what = f"{repo} does not come in {wish}."
    return QuantizationNotFound(f"{what} {offered(sizes)}")


def _default(by_label: Mapping[str | None, Variant], wish: Wish) -> _Choice:
    """The label taken when none is asked for."""
    labels = [label for label in by_label if label and bare(label) not in _DEAD]
    if len(by_label) == 1:
        return next(iter(by_label)), "It is the only quantization there is.", False
    four_bit = sorted((label for label in labels if bits_of(label) == 4), key=default_rank)
    if four_bit:
        usual = default_rank(four_bit[0])[0] == 0
        why = f"{four_bit[0]} is the default." if usual else f"{four_bit[0]} is nearest to Q4_K_M here."
        return four_bit[0], why, False
    eight_bit = sorted((label for label in labels if bare(label) == "q8_0"), key=len)
    if eight_bit:
        return eight_bit[0], f"There is no 4-bit quantization; {eight_bit[0]} comes next.", False
    return *_by_size(by_label, wish.budget), True


def _by_size(by_label: Mapping[str | None, Variant], budget: int | None) -> tuple[str | None, str]:
    alive = [label for label in by_label if bare(label or "") not in _DEAD] or list(by_label)
    quantized = [label for label in alive if (bits_of(label) or 0) < _FULL] or alive
    fitting = [label for label in quantized if budget is None or by_label[label].size <= budget]
    if not fitting:
        return min(by_label, key=lambda label: by_label[label].size), "None fits; it is the smallest."
    largest = max(fitting, key=lambda label: by_label[label].size)
    return largest, "It is the largest that is quantized." if budget is None else "It is the largest that fits."


def default_rank(label: str) -> tuple[int, float, int, str]:
    """Sorts labels by how near they are to the default, Q4_K_M; the first number is 0 for Q4_K_M itself.

    Behind all of four bits come those of eight, then the finer before the coarser, and at last what is not quantized.
    """
    plain, bits = bare(label), bits_of(label) or 0
    if plain in _DEFAULTS:
        return _DEFAULTS.index(plain), 0, len(label), label
    place = len(_DEFAULTS) + (0 if bits == 4 else 1 if bits == 8 else 2)
    return place, -bits if bits < _FULL else bits, len(label), label


def _projector_for(variant: Variant, found: GgufFiles) -> Variant | None:
    """One projector: from the model's own folder first, the one named most like the model, F16 before BF16.

    One in a folder with models of its own belongs to those.
    """
    home = _folder(variant.path)

    def rank(projector: Variant) -> tuple[bool, int, int, str]:
        label = fold(label_in(projector.path.rpartition("/")[2]) or "")
        precision = _PROJECTORS.index(label) if label in _PROJECTORS else len(_PROJECTORS)
        alike = len(_own_words(projector.path) & _own_words(variant.path))
        return _folder(projector.path) != home, -alike, precision, projector.path

    near = (one for one in found.projectors if _may_serve(_folder(one.path), home, found.homes))
    return min(near, key=rank, default=None)


def _may_serve(folder: str, home: str, homes: frozenset[str]) -> bool:
    """Whether a projector in `folder` may be for a model in `home`, where models stand in all of `homes`."""
    around = not folder or f"{home}/".startswith(f"{folder}/")
    return around or folder not in homes


def _own_words(path: str) -> set[str]:
    """The words of a file's name that do not say its quantization."""
    name = path.rpartition("/")[2]
    for label in labels_in(name):
        name = name.replace(label, "")
    return _words(name)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _words(name: str) -> set[str]:
    return {word for word in re.split(r"[^a-z0-9]+", name.lower().removesuffix(".gguf")) if word}


def _remarks(variant: Variant, variants: Iterable[Variant], projector: Variant | None) -> list[str]:
    remarks = []
    if len(variant.files) > 1:
        remarks.append(f"It is a set of {len(variant.files)} shards.")
    if twins := [other.path for other in variants if other.label == variant.label and other != variant]:
        remarks.append(
            f"{variant.path} was taken before {', '.join(sorted(twins)[:3])}; an address of one file decides."
        )
    if projector:
        remarks.append(f"The vision projector {projector.path} goes along.")
    return remarks
