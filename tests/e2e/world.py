"""What the stories of requests are about: models, some of which share files, and what may go wrong at their hub."""

from dataclasses import dataclass

from e2e.conftest import gguf, noise
from standin import ALWAYS, Fault, Hub, faults

KIB = 1024

YAML = """\
model: acme/rope
base:
  - key: acme/rope-gguf
    sources: [{type: huggingface, user: acme, repo: Rope-GGUF}]
metadataOverrides:
  domain: llm
  architectures: [llama]
  compatibilityTypes: [gguf]
  paramsStrings: [8B]
"""
_HEADER = b'{"__metadata__":{}}'
_ROPE, _EYE, _BIG, _MOLE = "acme/Rope-GGUF", "acme/Eye-GGUF", "acme/Big-GGUF", "acme/Mole-MLX-4bit"

# No two are of one size, and no two models either: by its size something is known from outside.
REPOSITORIES = {
    _ROPE: {"Rope-Q4_K_M.gguf": gguf(700 * KIB, 1), "Rope-Q8_0.gguf": gguf(900 * KIB, 2)},
    _EYE: {
        "Eye-Q4_K_M.gguf": gguf(650 * KIB, 3),
        "Eye-Q8_0.gguf": gguf(300 * KIB, 4),
        "mmproj-Eye-F16.gguf": gguf(560 * KIB, 5),
    },
    _BIG: {
        "Big-Q4_K_M-00001-of-00002.gguf": gguf(610 * KIB, 6),
        "Big-Q4_K_M-00002-of-00002.gguf": gguf(400 * KIB, 7),
    },
    _MOLE: {
        "config.json": b'{"model_type": "llama", "quantization": {"bits": 4, "group_size": 64}}',
        "tokenizer.json": b'{"version": "1.0"}',
        "model.safetensors": len(_HEADER).to_bytes(8, "little") + _HEADER + noise(200 * KIB, 8),
    },
}
RIGHT = {f"{repo}/{name}": data for repo, files in REPOSITORIES.items() for name, data in files.items()}
WEIGHTS = {path for path in RIGHT if not path.endswith(".json")}


@dataclass(frozen=True, repr=False)
class Wish:
    """A model and quantization, in the ways that people ask for it (model, quantization), and its files."""

    files: tuple[str, ...]
    spellings: tuple[tuple[str, str | None], ...]
    catalog: bool = False

    def __repr__(self) -> str:
        return f"<{self.spellings[0]}>"

    @property
    def size(self) -> int:
        """Of the files; the catalog's two texts not counted."""
        return sum(len(RIGHT[path]) for path in self.files)


def _wish(repo: str, names: str, *spellings: tuple[str, str | None], catalog: bool = False) -> Wish:
    return Wish(tuple(f"{repo}/{name}" for name in names.split()), spellings, catalog)


WISHES = (
    _wish(_ROPE, "Rope-Q4_K_M.gguf", ("acme/rope", None), ("Acme/Rope@q4_k_m", None), catalog=True),
    _wish(_ROPE, "Rope-Q8_0.gguf", ("acme/rope", "q8_0"), ("acme/rope@Q8_0", None), catalog=True),
    _wish(_ROPE, "Rope-Q4_K_M.gguf", (f"hf.co/{_ROPE}", None), (f"https://huggingface.co/{_ROPE}", "Q4_K_M")),
    _wish(_EYE, "Eye-Q4_K_M.gguf mmproj-Eye-F16.gguf", (_EYE, None), (f"hf.co/{_EYE}", "q4_k_m")),
    _wish(_EYE, "Eye-Q8_0.gguf mmproj-Eye-F16.gguf", (f"{_EYE}@q8_0", None), (_EYE, "Q8_0")),
    _wish(_BIG, " ".join(REPOSITORIES[_BIG]), (_BIG, None), (_BIG, "Q4_K_M")),
    _wish(_MOLE, " ".join(REPOSITORIES[_MOLE]), (_MOLE, None), (_MOLE, "4bit")),
)


@dataclass(frozen=True, repr=False)
class Trouble:
    """What goes wrong with every request of some kinds, until it is over.

    `fails`: the codes that a job may fail with because of it; where there are none, it is waited out.
    """

    name: str
    kinds: str
    fault: Fault | None = None  # without one nobody listens
    fails: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<{self.name}>"


_DENIED = Trouble("access is denied", "resolve", faults.status(403), frozenset({"model_gated"}))
_GONE = Trouble("files are gone", "resolve", faults.status(404), frozenset({"model_not_found"}))
TROUBLES = (
    Trouble("large files come half, then nothing", "cdn", faults.stall(after=200 * KIB)),
    Trouble("the CDN says nothing", "cdn", faults.silence()),
    Trouble("connections break", "cdn", faults.rst(after=150 * KIB)),
    Trouble("connections end early, of small files too", "cdn small", faults.fin(after=10)),
    Trouble("nobody answers for files", "cdn resolve", faults.no_answer("rst")),
    Trouble("the CDN is ill", "cdn", faults.status(500)),
    Trouble("the CDN is busy", "cdn", faults.status(503)),
    Trouble("the hub is ill", "info tree resolve small artifact", faults.status(502)),
    Trouble("the catalog is ill", "artifact page yaml", faults.status(500)),
    Trouble("nobody is there", "hub cdn"),
    *(_DENIED, _GONE) * 2,
)


class World:
    """The hub with its models, and what is wrong with it just now."""

    def __init__(self) -> None:
        self.hub = Hub()
        for repo, files in REPOSITORIES.items():
            self.hub.add(repo, files)
        self.hub.add_model(YAML, "acme", "rope", _ROPE)
        self.hub.left = {"api": 1_000_000, "resolvers": 1_000_000}
        self.trouble: Trouble | None = None
        self.spoils = False  # whether a wrong byte is still to be sent, maybe
        self.doubtful: set[str] = set()  # files that may have been sent with a wrong byte, ever

    @property
    def fails(self) -> frozenset[str]:
        """The codes that a job may fail with just now."""
        return self.trouble.fails if self.trouble else frozenset()

    def begin(self, trouble: Trouble) -> None:
        """Have it go wrong this way from now on, and no other."""
        self.end()
        self.trouble = trouble
        for kind in trouble.kinds.split():
            if trouble.fault:
                self.hub.misbehave(kind, trouble.fault, times=ALWAYS)
            else:
                {"hub": self.hub.server, "cdn": self.hub.cdn}[kind].refuse()

    def end(self) -> None:
        """Have it do right again."""
        self.hub.behave()
        if self.trouble and not self.trouble.fault:
            self.hub.server.accept_again()
            self.hub.cdn.accept_again()
        self.trouble, self.spoils = None, False

    def spoil(self, path: str, part: int, times: float) -> None:
        """Have a file come with a wrong byte in one of its four parts, so many times."""
        self.spoils = True
        self.doubtful.add(path)
        self.hub.misbehave(
            "cdn", faults.corrupt(at=part * len(RIGHT[path]) // 4), path=path.rpartition("/")[2], times=times
        )
