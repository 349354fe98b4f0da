"""From a listing to the files that make the model. Pure: `needs` says which small files to read, `select` decides.

GGUF goes before MLX and other safetensors where a repository holds both: LM Studio runs GGUF everywhere.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from windlass.errors import HubError, ModelNotFound, NoModelFiles, QuantizationNotFound
from windlass.hub.listing import HubFile, Listing
from windlass.hub.select_gguf import RAW_PART, GgufFiles, gguf_files, holds_model, select_gguf
from windlass.hub.select_safetensors import safetensors_weights, select_safetensors, texts_needed
from windlass.hub.selection import Chosen, Selection, Wish, size_of
from windlass.hub.sets import file_sets
from windlass.manifest import Format, Role
from windlass.names import collision, safe_path
from windlass.quantization import choose, is_decoy, is_draft, is_gguf, is_projector, label_in, label_of, shard_of

_PICKLE = re.compile(r".*\.(?:bin|pt|pth|ckpt|pkl|pickle)", re.IGNORECASE)
_OTHER_FORMAT = re.compile(r".*\.(onnx|h5|msgpack|npz|tflite|mlmodel|pb|engine|exl2)", re.IGNORECASE)
_GGML = re.compile(r"(?:.*[-_./])?ggml.*\.bin", re.IGNORECASE)
_ADAPTER = re.compile(r"(?:.*/)?(?:adapter.*|(?:.*[-_.])?lora(?:[-_.].*)?)\.safetensors", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Scope:
    """The part of a repository that was asked for; `files` have paths relative to `folder`, which ends in a slash."""

    folder: str
    files: tuple[HubFile, ...]

    def outward(self, selection: Selection) -> Selection:
        files = (replace(c, file=replace(c.file, path=self.folder + c.file.path)) for c in selection.files)
        return replace(selection, files=tuple(files))


def needs(listing: Listing, wish: Wish) -> tuple[str, ...]:
    """Paths of the small files whose content `select` wants, in the repository; none for GGUF and for a single file."""
    if _single(listing, wish) is not None:
        return ()
    scope = _scope(listing, wish)
    if _kind(scope.files, wish) != "safetensors":
        return ()
    return tuple(scope.folder + path for path in texts_needed(scope.files))


def select(listing: Listing, wish: Wish, texts: Mapping[str, bytes] | None = None) -> Selection:
    """The files that make the model.

    Args:
        listing: all files of the repository at one commit.
        wish: what of it is asked for.
        texts: what `needs` asked for, by path; a missing one counts as one that says nothing.

    Raises:
        ModelNotFound: the file or folder asked for is not there.
        NoModelFiles: nothing that can be placed; the message says what there is instead.
        QuantizationNotFound: it does not come in the one asked for; the hint lists those it comes in.
        HubError: a chosen file has a path that cannot be stored safely.
    """
    path = _single(listing, wish)
    selection = _select_scope(listing, wish, texts or {}) if path is None else _select_file(listing, path, wish)
    return _checked(listing, selection)


def _checked(listing: Listing, selection: Selection) -> Selection:
    """Without data whose name no disk would take: a model is not lost for the sake of `notes: v2.txt`."""
    unsafe = [chosen for chosen in selection.files if not safe_path(chosen.file.path)]
    if refused := [chosen for chosen in unsafe if chosen.role != "data" or len(selection.files) == 1]:
        raise HubError(f"{listing.repo} names a file {refused[0].file.path[:200]!r}, which cannot be stored safely.")
    if unsafe:
        kept = tuple(chosen for chosen in selection.files if chosen not in unsafe)
        left = f"{unsafe[0].file.path[:200]!r} is left out, as it cannot be stored safely."
        selection = replace(selection, files=kept, why=f"{selection.why} {left}")
    paths = [chosen.file.path for chosen in selection.files]
    if twins := collision(paths):
        raise HubError(f"{listing.repo} has {twins[0]!r} and {twins[1]!r}, which are one file on many disks.")
    return selection


def _single(listing: Listing, wish: Wish) -> str | None:
    """The path of the one file that was asked for; a folder's address that names a file counts as that file's."""
    if wish.path is None:
        return None
    there = any(file.path == wish.path for file in listing.files)
    if there or wish.path_kind == "file":
        return wish.path
    return None


def _scope(listing: Listing, wish: Wish) -> _Scope:
    path = wish.path or _folder_of_quantization(listing, wish)
    if path is None:
        return _Scope("", listing.files)
    folder = f"{path}/"
    inside = [file for file in listing.files if file.path.startswith(folder)]
    if not inside:
        raise _missing(listing, path)
    return _Scope(folder, tuple(replace(file, path=file.path.removeprefix(folder)) for file in inside))


def _folder_of_quantization(listing: Listing, wish: Wish) -> str | None:
    """Where all weights are safetensors in folders called by their quantization: the one that is wished for."""
    if not wish.quantization or wish.prefer == "gguf" or _kind(listing.files, wish):
        return None
    weights = (file.path.rpartition("/")[0] for file in listing.files if file.path.endswith(".safetensors"))
    labels = {label: folder for folder in sorted(set(weights)) if (label := label_of(folder))}
    label = choose(wish.quantization, labels)
    return labels[label] if label else None


def _missing(listing: Listing, path: str) -> ModelNotFound:
    names = {file.path for file in listing.files} | {file.path.rpartition("/")[0] for file in listing.files} - {""}
    near = difflib.get_close_matches(path, sorted(names)[:5000], n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else "Look at the repository's files for the right path."
    return ModelNotFound(f"{listing.repo} has no {path!r} at this revision.", hint=hint)


def _kind(files: Sequence[HubFile], wish: Wish) -> Literal["gguf", "safetensors"] | None:
    """Which family of formats to take. `mlx` takes any safetensors, as LM Studio's `compatibilityTypes` count them."""
    models = [file for file in files if holds_model(file)] if wish.prefer in {None, "gguf"} else []
    if any(not is_draft(file.path) for file in models):
        return "gguf"
    if wish.prefer != "gguf" and safetensors_weights(files):
        return "safetensors"
    return "gguf" if models else None


def _select_scope(listing: Listing, wish: Wish, texts: Mapping[str, bytes]) -> Selection:
    scope = _scope(listing, wish)
    kind = _kind(scope.files, wish)
    if kind == "gguf":
        return select_gguf(_gguf_of(listing, scope), wish, listing.repo)
    if kind == "safetensors":
        inner = {path.removeprefix(scope.folder): text for path, text in texts.items()}
        return scope.outward(select_safetensors(listing, scope.folder, scope.files, inner, wish))
    raise _nothing(listing.repo, scope.files, wish)


def _gguf_of(listing: Listing, scope: _Scope) -> GgufFiles:
    """The scope's models, with full paths, so that a folder's name can state the label, and all projectors there are.

    A folder often holds the shards of one quantization while the projector for all of them stands at the root.
    """
    inside = gguf_files((file for file in listing.files if file.path.startswith(scope.folder)), listing.repo)
    if not scope.folder:
        return inside
    everywhere = gguf_files(listing.files, listing.repo)
    return replace(inside, projectors=everywhere.projectors, homes=everywhere.homes)


def _select_file(listing: Listing, path: str, wish: Wish) -> Selection:
    """What an address of one file names: that file, and the rest of its set if it is a shard."""
    named = next((file for file in listing.files if file.path == path), None)
    if named is None:
        raise _missing(listing, path)
    if _PICKLE.fullmatch(path) and not _GGML.fullmatch(path):
        raise _pickles(listing.repo)
    files = _whole_set(listing, named)
    label = label_of(path)
    said = [label, None if is_gguf(path) else label_in(listing.repo.rpartition("/")[2])]
    if wish.quantization and not any(choose(wish.quantization, [one]) for one in said if one):
        raise QuantizationNotFound(f"{path} is not {wish.quantization}.", hint="Leave the quantization out.")
    role = _role_of_file(path)
    why = "It was asked for by its address." + (f" It is one of {len(files)} shards." if len(files) > 1 else "")
    alternatives = {label: size_of(files)} if label else {}
    chosen = tuple(Chosen(file, role) for file in files)
    return Selection(chosen, _format_of_file(listing, path), label, alternatives, why)


def _role_of_file(path: str) -> Role:
    """What is asked for by its address is fetched, whatever it is; what is no weights makes no model in the lists."""
    if is_projector(path):
        return "projector"
    return "weights" if not is_decoy(path) and (is_gguf(path) or path.endswith(".safetensors")) else "data"


def _whole_set(listing: Listing, named: HubFile) -> tuple[HubFile, ...]:
    shard = shard_of(named.path)
    if shard is None:
        return (named,)
    suffix = named.path.rpartition(".")[2].lower()
    similar = (f for f in listing.files if f.path.startswith(shard.stem) and f.path.lower().endswith(f".{suffix}"))
    one = next(one for one in file_sets(similar) if named in one.files)
    if not one.whole:
        raise NoModelFiles(f"{listing.repo} lacks shards of {shard.stem}: {len(one.files)} of {one.count} are there.")
    return one.files


def _format_of_file(listing: Listing, path: str) -> Format:
    """The format by the file's own name, else by what its repository holds."""
    if is_gguf(path):
        return "gguf"
    if not path.lower().endswith(".safetensors") and any(is_gguf(file.path) for file in listing.files):
        return "gguf"
    return "mlx" if "mlx" in listing.tags or listing.library_name == "mlx" else "safetensors"


def _pickles(repo: str) -> NoModelFiles:
    return NoModelFiles(
        f"{repo} has its weights as pickles, which can run any code when they are loaded.",
        hint="Look for a GGUF or safetensors version of the model.",
    )


def _nothing(repo: str, files: Sequence[HubFile], wish: Wish) -> NoModelFiles:
    """Why nothing can be taken, by what there is instead."""
    paths = [file.path for file in files]
    if wish.prefer and _kind(files, replace(wish, prefer=None)):
        other = "GGUF" if any(map(holds_model, files)) else "safetensors"
        return NoModelFiles(f"{repo} does not come as {wish.prefer}, only as {other}.", hint="Ask for no format.")
    if any(RAW_PART.fullmatch(path) for path in paths):
        return NoModelFiles(f"{repo} has GGUF in raw parts that must be joined by hand.", hint="Look for another copy.")
    if any(_ADAPTER.fullmatch(path) for path in paths):
        return NoModelFiles(f"{repo} is an adapter, not a model.", hint="Ask for the model that it was made for.")
    if any(map(is_projector, paths)):
        return NoModelFiles(f"{repo} holds a projector and no model.", hint="Ask for it by the address of its file.")
    folders = sorted({p.rpartition("/")[0] for p in paths if p.endswith(".safetensors") and "/" in p})
    if folders:
        hint = f"Ask for one of them by its address: /tree/main/{folders[0]}"
        return NoModelFiles(f"{repo} has weights only in folders: {', '.join(folders[:5])}.", hint=hint)
    if any(_GGML.fullmatch(path) for path in paths):
        hint = "Look for a GGUF of the model, or ask for a file by its address."
        return NoModelFiles(f"{repo} holds GGML files, which programs for GGUF do not read.", hint=hint)
    if any(_PICKLE.fullmatch(path) for path in paths):
        return _pickles(repo)
    others = sorted({match[1].lower() for path in paths if (match := _OTHER_FORMAT.fullmatch(path))})
    what = f"only {', '.join(others)}" if others else "no GGUF or safetensors weights"
    return NoModelFiles(f"{repo} holds {what}.", hint="Windlass places GGUF, MLX and other safetensors models.")
