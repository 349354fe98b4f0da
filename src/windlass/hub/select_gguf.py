"""Which GGUF files make the model: one quantization, whole, with its vision projector. Pure.

Where answers differ in the field we take LM Studio's, then llama.cpp's:
- nothing asked: Q4_K_M (both), then its nearest 4-bit neighbours, then Q8_0 (llama.cpp), then the largest that fits;
- the projector comes along unasked (both), F16 before BF16;
- an address of one file brings that file alone, but a shard brings its set (llama.cpp): half a set cannot be loaded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from windlass.errors import NoModelFiles, QuantizationNotFound
from windlass.hub.listing import HubFile
from windlass.hub.selection import Chosen, Selection, Wish, offered, size_of
from windlass.hub.sets import file_sets
from windlass.quantization import (
    bits_of,
    choose,
    fold,
    is_decoy,
    is_gguf,
    is_projector,
    label_in,
    label_of,
)

# Nothing asked: the first of these that is there. Q4_K is llama.cpp's other name for Q4_K_M. Marks (`UD-`, `i1-`) do
# not count, but a plain label comes before a marked one.
_DEFAULTS = ("q4_k_m", "q4_k", "q4_k_s", "q4_k_l", "q4_k_xl", "iq4_nl", "iq4_xs", "q4_1", "q4_0", "mxfp4_moe", "mxfp4")
_PROJECTORS = ("f16", "bf16", "q8_0", "f32")


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
    """

    variants: tuple[Variant, ...]
    broken: tuple[str, ...]
    projectors: tuple[Variant, ...]


def holds_model(file: HubFile) -> bool:
    """Whether it is a GGUF model or a part of one, by its name. An empty file is none."""
    return is_gguf(file.path) and bool(file.size) and not is_decoy(file.path) and not is_projector(file.path)


def gguf_files(files: Iterable[HubFile], repo: str) -> GgufFiles:
    """Sort a listing's GGUF files: models, and what goes along with them."""
    files = [file for file in files if is_gguf(file.path) and file.size]
    variants, broken = _variants(filter(holds_model, files))
    projectors, _ = _variants(file for file in files if is_projector(file.path) and not is_decoy(file.path))
    return GgufFiles(tuple(_labelled_by_repo(variants, repo)), broken, tuple(projectors))


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
    label, reason = _wished(wish.quantization, by_label, found, repo) if wish.quantization else _default(by_label, wish)
    variant = by_label[label]
    projector = _projector_for(variant, found.projectors)
    extra = projector.files if projector else ()
    weights = [Chosen(file) for file in variant.files]
    return Selection(
        (*weights, *(Chosen(file, "projector") for file in extra)),
        "gguf",
        label,
        {name: v.size + size_of(extra) for name, v in by_label.items() if name},
        " ".join((reason, *_remarks(variant, found.variants, projector))),
    )


def _one_each(variants: Iterable[Variant], repo: str) -> dict[str | None, Variant]:
    """One variant a label: whole before sharded, nearer the root first, named like the repository first.

    Files without a label are told apart by nothing that a person could ask for; the largest stands for them.
    """
    stem = fold(repo.rpartition("/")[2]).removesuffix("_gguf")

    def rank(variant: Variant) -> tuple[bool, int, bool, int, str]:
        unlike = not fold(variant.path.rpartition("/")[2]).startswith(stem)
        unlabelled_size = -variant.size if variant.label is None else 0
        return len(variant.files) > 1, variant.path.count("/"), unlike, unlabelled_size, variant.path

    by_label: dict[str | None, Variant] = {}
    for variant in sorted(variants, key=rank):
        by_label.setdefault(variant.label, variant)
    return by_label


def _wished(wish: str, by_label: Mapping[str | None, Variant], found: GgufFiles, repo: str) -> tuple[str | None, str]:
    labels = [label for label in by_label if label]
    label = choose(wish, labels)
    if label is None:
        raise _not_found(wish, by_label, found, repo)
    exact = fold(label) == fold(wish)
    return label, f"{label} was asked for." if exact else f"{label} is the only one that {wish!r} can mean."


def _not_found(wish: str, by_label: Mapping[str | None, Variant], found: GgufFiles, repo: str) -> QuantizationNotFound:
    sizes = {label: variant.size for label, variant in by_label.items() if label}
    if any(fold(label) == fold(wish) for label in found.broken):
        what = f"{repo} holds {wish} with shards missing, so it cannot be loaded."
    else:
        what = f"{repo} does not come in {wish}."
    return QuantizationNotFound(f"{what} {offered(sizes)}")


def _default(by_label: Mapping[str | None, Variant], wish: Wish) -> tuple[str | None, str]:
    """The label taken when none is asked for, and the rule that took it."""
    labels = [label for label in by_label if label]
    if len(by_label) == 1:
        return next(iter(by_label)), "It is the only one there is."
    four_bit = sorted((label for label in labels if bits_of(label) == 4), key=default_rank)
    if four_bit:
        usual = default_rank(four_bit[0])[0] == 0
        return four_bit[0], f"{four_bit[0]} is the default." if usual else f"{four_bit[0]} is nearest to Q4_K_M here."
    eight_bit = sorted((label for label in labels if bare(label) == "q8_0"), key=len)
    if eight_bit:
        return eight_bit[0], f"There is no 4-bit quantization; {eight_bit[0]} comes next."
    fitting = [label for label, v in by_label.items() if wish.budget is None or v.size <= wish.budget]
    if fitting:
        return max(fitting, key=lambda label: by_label[label].size), "It is the largest of those that fit."
    return min(by_label, key=lambda label: by_label[label].size), "None fits; it is the smallest."


def default_rank(label: str) -> tuple[int, int, str]:
    """Sorts labels by how near they are to the default, Q4_K_M; the first number is 0 for Q4_K_M itself."""
    plain = bare(label)
    place = _DEFAULTS.index(plain) if plain in _DEFAULTS else len(_DEFAULTS) + (bits_of(label) != 4)
    return place, len(label), label


def bare(label: str) -> str:
    """A folded label without the marks `UD-` and `i1-`."""
    return fold(label).removeprefix("ud_").removeprefix("i1_")


def _projector_for(variant: Variant, projectors: Sequence[Variant]) -> Variant | None:
    """One projector: from the model's own folder first, F16 before BF16, and the one named most like the model."""

    def rank(projector: Variant) -> tuple[bool, int, int, str]:
        own_folder = _folder(projector.path) == _folder(variant.path)
        label = fold(label_in(projector.path.rpartition("/")[2]) or "")
        precision = _PROJECTORS.index(label) if label in _PROJECTORS else len(_PROJECTORS)
        return not own_folder, precision, -len(_words(projector.path) & _words(variant.path)), projector.path

    return min(projectors, key=rank, default=None)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _words(path: str) -> set[str]:
    name = path.rpartition("/")[2].lower().replace(".", "-").replace("_", "-")
    return set(name.split("-"))


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
