"""Selection: from a listing to exactly the files that make the model."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from windlass import errors
from windlass.errors import NoModelFiles, QuantizationNotFound, WindlassError
from windlass.hub.listing import HubFile, Listing
from windlass.hub.select import needs, select
from windlass.hub.selection import Selection, Wish, offered, size_of
from windlass.manifest import Digest, Format
from windlass.quantization import is_decoy, is_draft, is_gguf, is_matrix, is_projector, label_of, shard_of

DIGEST = Digest("sha256", "0" * 64)


@dataclass
class Shape:
    """One repository of the table, and the questions that are asked of it."""

    repo: str
    tags: tuple[str, ...]
    files: list[HubFile] = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)
    questions: list[tuple[str, str]] = field(default_factory=list)

    @property
    def listing(self) -> Listing:
        return Listing(self.repo, "c" * 40, tuple(self.files), tags=self.tags)


def expand(text: str) -> list[str]:
    """`{a,b}` and `-#3` written out."""
    if braces := re.search(r"\{([^}]*)\}", text):
        ways = braces[1].split(",")
        return [p for way in ways for p in expand(text[: braces.start()] + way + text[braces.end() :])]
    if shards := re.search(r"-#(\d+)(?:!(\d+))?", text):
        count, lacking = int(shards[1]), int(shards[2] or 0)
        there = [i for i in range(1, count + 1) if i != lacking]
        return [f"{text[: shards.start()]}-{i:05}-of-{count:05}{text[shards.end() :]}" for i in there]
    return [text]


def shapes() -> Iterator[Shape]:
    """The table of shapes.txt."""
    shape = None
    for line in Path(__file__).with_name("shapes.txt").read_text("utf-8").splitlines():
        if line.startswith("== "):
            if shape:
                yield shape
            repo, *tags = line[3:].split()
            shape = Shape(repo, tuple(tags))
        elif shape and line.startswith("> "):
            asked, _, answer = line[2:].partition("->")
            shape.questions.append((asked.strip(), answer.strip()))
        elif shape and line and not line.startswith("#"):
            add_files(shape, line)
    if shape:
        yield shape


def add_files(shape: Shape, line: str) -> None:
    pattern, _, text = line.partition(" :")
    pattern, _, size = pattern.partition(" =")
    for path in expand(pattern.strip()):
        shape.files.append(HubFile(path, int(size) if size else 1000 + len(path), DIGEST))
        if text:
            shape.texts[path] = text.encode()


ROWS = [
    pytest.param(shape, asked, answer, id=f"{shape.repo} {asked}")
    for shape in shapes()
    for asked, answer in shape.questions
]


def wish_of(asked: str) -> Wish:
    what, _, quantization = asked.partition("@")
    verb, _, path = what.partition("/")
    wish = Wish(quantization or None)
    if verb in {"blob", "tree"}:
        return replace(wish, path=path, path_kind="file" if verb == "blob" else "folder")
    if what in {"gguf", "mlx", "safetensors"}:
        return replace(wish, prefer=cast("Format", what))
    return replace(wish, budget=int(what[1:])) if what.startswith("<") else wish


def ask(shape: Shape, wish: Wish) -> Selection:
    read = {path: shape.texts[path] for path in needs(shape.listing, wish) if path in shape.texts}
    return select(shape.listing, wish, read)


def test_the_table_is_large() -> None:
    """The shapes of real repositories are asked more than a hundred questions."""
    assert len(ROWS) > 100


@pytest.mark.parametrize(("shape", "asked", "answer"), ROWS)
def test_shapes(shape: Shape, asked: str, answer: str) -> None:
    """Each question has exactly this set of files in this order, or exactly this error."""
    if answer.startswith("!"):
        error, _, words = answer[1:].partition(" ")
        with pytest.raises(getattr(errors, error), match=re.escape(words) or None) as caught:
            ask(shape, wish_of(asked))
        assert type(caught.value).__name__ == error
        return
    head, _, paths = answer.partition("|")
    format_, label = head.split()
    selection = ask(shape, wish_of(asked))
    assert [c.file.path for c in selection.files] == [p for pattern in paths.split() for p in expand(pattern)]
    assert (selection.format, selection.quantization or "-") == (format_, label)
    assert selection.why.endswith(".")


@pytest.mark.parametrize(("shape", "asked", "answer"), [row for row in ROWS if "!" not in str(row.values[2])])
def test_roles(shape: Shape, asked: str, answer: str) -> None:
    """A projector is one by its role, and so is data; the rest are weights."""
    for chosen in ask(shape, wish_of(asked)).files:
        if chosen.role == "projector":
            assert is_projector(chosen.file.path)
        if chosen.role == "data":
            assert not chosen.file.path.endswith(".gguf") or is_decoy(chosen.file.path)


def test_alternatives_are_whole_downloads() -> None:
    """Each quantization that could be asked for has the bytes that asking for it would bring in."""
    shape = next(shape for shape in shapes() if shape.repo == "unsloth/gemma-3-27b-it-GGUF")
    alternatives = ask(shape, Wish()).alternatives
    assert len(alternatives) == 16
    for label, size in alternatives.items():
        assert size_of(chosen.file for chosen in ask(shape, Wish(label)).files) == size


def test_why_names_the_rule() -> None:
    """The answer says which rule chose what, and what it was taken before."""
    paths = ("x/m-Q4_K_M.gguf", "m-Q4_K_M.gguf", "mmproj.gguf")
    twins = Listing("a/b", "c" * 40, tuple(HubFile(path, 9, DIGEST) for path in paths))
    why = select(twins, Wish()).why
    assert "only quantization" in why
    assert "x/m-Q4_K_M.gguf" in why
    assert "mmproj.gguf goes along" in why
    assert "asked for" in select(twins, Wish("q4_k_m")).why


def test_near_misses_are_named() -> None:
    """A file's address with a slip in it is answered with the paths that are near."""
    listing = Listing("a/b", "c" * 40, (HubFile("model-Q4_K_M.gguf", 9, DIGEST),))
    with pytest.raises(errors.ModelNotFound) as caught:
        select(listing, Wish(path="model-Q4_KM.gguf", path_kind="file"))
    assert "model-Q4_K_M.gguf" in (caught.value.hint or "")


def test_sizes_for_people() -> None:
    """Sizes are written as everywhere, and one that is not known is left out."""
    sizes = {"8bit": 999_999, "16bit": 2_300_000_000_000, "4bit": 0}
    assert offered(sizes) == "It comes in 4bit, 8bit (1.00 MB), 16bit (2.30 TB)."


# -- properties

LABELS = ["Q4_K_M", "q8_0", "UD-Q4_K_XL", "Q4_K_XL", "i1-IQ3_M", "BF16", "Q6_K", "mxfp4", "Q4_0", "Q4_0_4_4"]
NOISE = [
    *("README.md", "a.png", "imatrix.dat", "x-imatrix.gguf"),
    *("mtp-x-Q4_K_M.gguf", "eagle3-x-Q8_0.gguf", "mmproj-F16.gguf"),
]


@st.composite
def listings(draw: st.DrawFn) -> Listing:
    """A GGUF repository of single files, sets (some with a shard missing), folders and decoys."""
    paths: list[str] = draw(st.lists(st.sampled_from(NOISE), unique=True))
    for label in draw(st.lists(st.sampled_from(LABELS), unique=True)):
        folder = draw(st.sampled_from(["", f"{label}/", "deep/er/"]))
        count = draw(st.integers(0, 4))
        shards = [f"{folder}x-{label}-{i:05}-of-{count:05}.gguf" for i in range(1, count + 1)]
        paths += shards or [f"{folder}x-{label}.gguf"]
        lacking: str | None = draw(st.none() | st.sampled_from(shards)) if shards else None
        if lacking:
            paths.remove(lacking)
    sizes = st.integers(1, 10**12)
    order = draw(st.permutations(paths))
    return Listing("o/r-GGUF", "c" * 40, tuple(HubFile(path, draw(sizes), DIGEST) for path in order))


def is_model(path: str) -> bool:
    return is_gguf(path) and not is_matrix(path) and not is_projector(path)


@given(listings(), st.one_of(st.none(), st.sampled_from(LABELS)), st.one_of(st.none(), st.integers(1, 10**12)))
def test_one_quantization_whole_and_no_decoy(listing: Listing, quantization: str | None, budget: int | None) -> None:
    """Never two quantizations, never half a set, never a decoy, at most one projector, and what was asked for."""
    try:
        selection = select(listing, Wish(quantization, budget=budget))
    except (NoModelFiles, QuantizationNotFound):
        return
    weights = [c.file.path for c in selection.files if c.role == "weights"]
    assert len({label_of(path) for path in weights}) == 1
    assert not any(is_matrix(path) or is_projector(path) for path in weights)
    # A draft is taken for the model only where there is nothing else.
    assert not any(map(is_draft, weights)) or all(is_draft(f.path) for f in listing.files if is_model(f.path))
    shard = shard_of(weights[0])
    assert [s and s.index for s in map(shard_of, weights)] == (list(range(1, shard.count + 1)) if shard else [None])
    assert sum(c.role == "projector" for c in selection.files) == any(is_projector(f.path) for f in listing.files)
    if quantization:
        assert (selection.quantization or "").lower().endswith(quantization.lower())


@given(listings())
def test_order_does_not_matter(listing: Listing) -> None:
    """The same files in another order make the same choice."""

    def outcome(files: tuple[HubFile, ...]) -> object:
        try:
            return select(replace(listing, files=files), Wish()).files
        except WindlassError as error:
            return type(error)

    assert outcome(listing.files) == outcome(listing.files[::-1])


@given(listings(), st.data())
def test_an_exact_address_is_always_taken(listing: Listing, data: st.DataObject) -> None:
    """What an address names is brought in, decoy or not, unless its set cannot be completed."""
    assume(listing.files)
    path = data.draw(st.sampled_from([file.path for file in listing.files]))
    shard = shard_of(path)
    there = [f.path for f in listing.files if shard and (other := shard_of(f.path)) and other.stem == shard.stem]
    wish = Wish(path=path, path_kind="file")
    if shard and len(there) < shard.count:
        with pytest.raises(NoModelFiles):
            select(listing, wish)
    else:
        chosen = [c.file.path for c in select(listing, wish).files]
        assert chosen == (sorted(there) if shard else [path])


NAMES = st.lists(st.text(max_size=30), unique=True, max_size=12)


@given(NAMES, st.text(max_size=8), st.dictionaries(st.text(), st.binary()))
def test_any_listing_is_an_answer_or_our_error(paths: list[str], quantization: str, texts: dict[str, bytes]) -> None:
    """Whatever a hub sends as names and texts, nothing but our own errors comes out."""
    suffixes = itertools.cycle([".gguf", ".safetensors", "", ".json"])
    files = tuple(HubFile(path + suffix, 1, DIGEST) for path, suffix in zip(paths, suffixes, strict=False))
    listing = Listing("o/r", "c" * 40, tuple({file.path: file for file in files}.values()))
    try:
        selection = select(listing, Wish(quantization or None), texts)
    except WindlassError:
        return
    assert selection.files
