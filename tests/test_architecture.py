"""The house's plan, held by reading the code: which room may know which, who owns which package, how large things are.

    masking atomic
    errors                                                     known to all
    codes settings manifest quantization ratelimit presence findings
    callers fit limits logs tokens unfinished words            values, and small parts that know no room
    names listening update
    hub   transfer   library   jobs                            neighbours that never import one another
    pull folder
    places
    running space
    runner views
    plan rules events records webhooks
    admission lookout news sources supplies
    keeping inspection updating
    parts
    service
    api   client   share                                       faces that never import one another
    cli  __init__                                              the face that starts the others; what programs import
    __main__

An arrow goes from a line to a line above it (the foundation is drawn first), never sideways, never back.
Some rooms may see still less (`NARROW`), and the command line enters another face by one door (`DOORS`).
"""

import ast
import statistics
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import windlass

ROOT = Path(windlass.__file__).parent

LAYERS = (
    {"masking", "atomic"},
    {"errors"},
    {
        "codes",
        "findings",
        "settings",
        "manifest",
        "quantization",
        "ratelimit",
        "presence",
        "callers",
        "fit",
        "limits",
        "logs",
        "tokens",
        "unfinished",
        "words",
    },
    {"names", "listening", "update"},
    {"hub", "transfer", "library", "jobs"},
    {"pull", "folder"},
    {"places"},
    {"running", "space"},
    {"runner", "views"},
    {"plan", "rules", "events", "records", "webhooks"},
    {"admission", "lookout", "news", "sources", "supplies"},
    {"keeping", "inspection", "updating", "doctor"},
    {"parts"},
    {"service"},
    {"api", "client", "share"},
    {"cli", "__init__"},
    {"__main__"},
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}

# Rooms that see less than all that lies below them: rooms or, with a point, single modules.
NARROW: dict[str, set[str]] = {
    "codes": {"errors"},
    "settings": {"errors"},
    "quantization": set(),
    "presence": {"atomic", "errors"},
    "callers": {"errors"},
    "errors": {"masking"},
    "logs": {"masking"},
    "listening": {"errors", "callers"},
    "fit": set(),
    "unfinished": set(),
    "limits": {"errors"},
    "tokens": {"atomic", "errors"},
    "names": {"errors", "settings"},
    "hub": {"errors", "masking", "manifest", "names", "quantization", "ratelimit", "words"},
    "transfer": {"errors", "ratelimit"},
    "library": {"atomic", "errors", "findings", "manifest", "names", "quantization", "unfinished", "words"},
    "jobs": {"errors", "manifest"},
    # The recipe needs of the jobs only the words for its phases, and of the hub only what reads a model.yaml.
    "pull": {"errors", "manifest", "words", "library", "transfer", "jobs.states", "hub.model_yaml"},
    "running": {"masking", "pull", "jobs", "transfer"},
    "places": {"errors", "folder", "pull", "manifest", "jobs.job", "jobs.states", "library"},
    "space": {"errors", "pull", "places", "jobs"},
    "runner": {"errors", "limits", "presence", "pull", "running", "space", "jobs", "library", "transfer"},
    "views": {"errors", "words", "folder", "manifest", "pull", "running", "jobs", "hub.offers"},
    "plan": {"fit", "manifest", "views", "library.shelf", "hub.resolve"},
    "folder": {"errors", "library.disk"},
    "events": {"errors"},
    "webhooks": {"atomic", "errors", "words", "library.disk", "jobs.job", "jobs.states"},
    "news": {"jobs"},
    "sources": {"fit", "hub", "manifest", "settings"},
    "supplies": {"hub.huggingface", "jobs.job", "library", "places", "pull", "settings", "transfer"},
    "doctor": {
        "errors",
        "fit",
        "folder",
        "hub.reach",
        "hub.web",
        "masking",
        "places",
        "presence",
        "settings",
        "transfer.probe",
        "words",
    },
    "keeping": {
        "errors",
        "admission",
        "folder",
        "places",
        "pull",
        "jobs.job",
        "library",
        "manifest",
        "transfer.ledger",
    },
    "inspection": {
        "errors",
        "findings",
        "presence",
        "pull",
        "runner",
        "jobs",
        "library",
        "transfer.leftovers",
        "hub.model_yaml",
    },
    "update": {"manifest"},
    "lookout": {"errors", "manifest", "update"},
    "updating": {"errors", "admission", "hub.again", "jobs.job", "library", "lookout", "manifest", "update"},
    "records": {"errors", "presence", "space", "jobs"},
    "rules": {"atomic", "errors", "limits", "settings", "library.disk"},
    "admission": {"errors", "manifest", "folder", "places", "pull", "jobs", "library"},
    "api": {
        "errors",
        "codes",
        "limits",
        "manifest",
        "service",
        "views",
        "plan",
        "jobs.states",
        "library",
        "hub.offers",
        "events",
        "tokens",
        "transfer.source",
        "keeping",
        "folder",
        "update",
    },
    # These two speak HTTP to whoever is there: they know nothing of how Windlass works inside. What lies in a folder is
    # no safer to read than what a catalog sends, so there is one reader of a model.yaml.
    "client": {"errors"},
    "share": {"atomic", "errors", "listening", "unfinished", "words", "hub.model_yaml"},
    "__main__": {"cli"},
    "__init__": {"client"},  # what programs import: the clients, and only when they are asked for
}
# How the command line enters another face, one verb each: `serve`, `hub`, `demo`, and what drives a server.
DOORS = {"api.app", "share.serve", "share.demo_models", "client.client"}
FACES = {"api", "client", "share"}

# A package from outside, and the rooms that own it. What is imported and not here is refused.
OWNERS = {
    "pycurl": {"transfer"},
    "certifi": {"transfer"},
    "xxhash": {"transfer", "library"},
    "httpx2": {"hub", "client", "webhooks"},
    "huggingface_hub": {"hub"},
    "yaml": {"hub"},
    "sqlalchemy": {"jobs"},
    "alembic": {"jobs"},
    "fastapi": {"api"},
    "pydantic": {"api"},
    "prometheus_client": {"api"},
    "starlette": {"api", "share"},
    "anyio": {"share"},
    "uvicorn": {"listening", "callers"},
    "h11": {"callers"},
    "typer": {"cli"},
    "rich": {"cli"},
    "gguf": {"share"},
    "numpy": {"share"},
}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


class Arrow(NamedTuple):
    """`module` imports `target`; both without the leading `windlass.`, `target` foreign where it has another root."""

    module: str
    target: str
    foreign: bool


def room_of(module: str) -> str:
    return module.partition(".")[0]


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__") or "__init__"] = path
    return found


def imports(module: str, tree: ast.AST) -> Iterator[Arrow]:
    """Every import, wherever it stands: a late one is an arrow as well, and one for types only too."""
    known = modules()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name.removeprefix("windlass.") in known else str(node.module) for name in full]
        else:
            continue
        for name in names:
            root, _, rest = name.partition(".")
            if root == "windlass":
                if rest:
                    yield Arrow(module, rest, foreign=False)
            elif root not in sys.stdlib_module_names:
                yield Arrow(module, root, foreign=True)


@cache
def all_arrows() -> list[Arrow]:
    trees = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in modules().items()}
    return [arrow for module, tree in trees.items() for arrow in imports(module, tree)]


def objection(arrow: Arrow) -> str | None:
    """What is wrong with an import, None for nothing."""
    room = room_of(arrow.module)
    if arrow.foreign:
        owners = OWNERS.get(arrow.target, set())
        return (
            None if room in owners else f"{arrow.module} imports {arrow.target}, which belongs to {owners or 'nobody'}"
        )
    target = room_of(arrow.target)
    if target == room:
        return None
    if LEVEL[target] >= LEVEL[room]:
        return f"{arrow.module} imports {arrow.target}, which is not below it"
    if room == "cli" and target in FACES and arrow.target not in DOORS:
        return f"{arrow.module} imports {arrow.target}, which is no door"
    if room in NARROW and not NARROW[room] & {target, arrow.target}:
        return f"{arrow.module} imports {arrow.target}, of which it knows nothing"
    return None


def test_every_import_goes_where_it_may() -> None:
    """See the drawing above; packages from outside stay in the rooms that own them."""
    assert [said for arrow in all_arrows() if (said := objection(arrow))] == []


@pytest.mark.parametrize(
    ("module", "target", "foreign"),
    [
        ("hub.web", "library.disk", False),
        ("transfer.wire", "manifest", False),
        ("jobs.store", "service", False),
        ("library.shelf", "pull", False),
        ("errors", "settings", False),
        ("pull", "jobs.store", False),
        ("api.app", "cli.tables", False),
        ("client.client", "views", False),
        ("share.app", "api.errors", False),
        ("cli.main", "api.errors", False),
        ("cli.ls", "sqlalchemy", True),
        ("hub.web", "requests", True),
        ("api.app", "uvicorn", True),
    ],
)
def test_an_arrow_that_points_the_wrong_way_is_seen(module: str, target: str, foreign: bool) -> None:
    """The rules would say something, so their silence means something."""
    assert objection(Arrow(module, target, foreign))


def test_the_drawing_is_of_this_house() -> None:
    """Every room has its place, and every rule is about a room and a package that are there."""
    assert {room_of(module) for module in modules()} == set(LEVEL)
    arrows = all_arrows()
    assert len(arrows) > 200
    assert {arrow.target for arrow in arrows if arrow.foreign} == set(OWNERS)
    assert {arrow.target for arrow in arrows} >= DOORS


def test_no_room_may_what_it_does_not() -> None:
    """A permission that nobody uses would let an arrow in that nobody has thought about."""
    used = {room: set[str]() for room in (*NARROW, *OWNERS)}
    for module, target, foreign in all_arrows():
        room = room_of(module)
        if foreign:
            used[target].add(room)
        elif room in NARROW and room_of(target) != room:
            used[room] |= {target, room_of(target)}
    allowed = {**NARROW, **OWNERS}
    assert {room: allowed[room] - used[room] for room in allowed if not allowed[room] <= used[room]} == {}


def test_late_and_typed_imports_are_seen() -> None:
    """Within functions, under TYPE_CHECKING, of modules and of names in them."""
    text = "if TYPE_CHECKING:\n from windlass.jobs.store import Store\n"
    text += "def f():\n import httpx2.x\n from windlass import names"
    assert set(imports("cli.x", ast.parse(text))) == {
        Arrow("cli.x", "names", foreign=False),
        Arrow("cli.x", "jobs.store", foreign=False),
        Arrow("cli.x", "httpx2", foreign=True),
    }


def test_there_is_no_import_circle() -> None:
    """Among modules, late imports included."""
    graph: dict[str, set[str]] = {module: set() for module in modules()}
    for arrow in all_arrows():
        if not arrow.foreign:
            graph[arrow.module].add(arrow.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


# Sizes


class Measured(NamedTuple):
    """A function and its lines of code: without its head, docstring, comments and blank lines."""

    lines: int
    name: str


def code_lines(path: Path) -> set[int]:
    """The lines that hold code."""
    passive = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    with tokenize.open(path) as file:
        tokens = [token for token in tokenize.generate_tokens(file.readline) if token.type not in passive]
    return {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}


def functions(module: str, path: Path) -> Iterator[Measured]:
    code = code_lines(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            if body:  # a protocol's method may be its docstring alone
                span = set(range(body[0].lineno, (node.end_lineno or 0) + 1))
                yield Measured(len(span & code), f"{module}.{node.name}")


def test_functions_are_short() -> None:
    """Median at most 8 lines of code, 95 of 100 at most 35."""
    measured = sorted(each for module, path in modules().items() for each in functions(module, path))
    lines = [each.lines for each in measured]
    assert len(lines) > 500
    assert statistics.median(lines) <= 8
    assert lines[round(0.95 * len(lines))] <= 35, measured[-10:]


def test_functions_have_few_parameters() -> None:
    """Outside the command line, where each option is one: at most 6, and few that many."""
    many = []
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and room_of(module) != "cli":
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                if len([a for a in arguments if a.arg not in {"self", "cls"}]) > 6:
                    many.append(f"{module}.{node.name}")
    assert many == []


def test_code_is_counted_as_it_should_be(tmp_path: Path) -> None:
    """Docstring, comments, blank lines and the head do not count; a text over three lines counts as three."""
    path = tmp_path / "x.py"
    path.write_text(
        'def f(\n    a,\n):\n    """Doc.\n\n    More.\n    """\n    # why\n\n'
        '    b = """1\n2\n3"""\n    return b  # so\n'
    )
    assert list(functions("x", path)) == [(4, "x.f")]


def test_files_are_short() -> None:
    """At most 400 lines, so that one is read in one go."""
    sizes = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in modules().items()}
    assert {module: size for module, size in sizes.items() if size > 400} == {}


def test_modules_are_named_for_what_they_are() -> None:
    """A name that says nothing draws in everything."""
    parts = {part for module in modules() for part in module.lower().split(".")}
    assert not {part for part in parts if part in FORBIDDEN_NAMES or part.endswith(("_utils", "_helpers", "_manager"))}


def test_every_module_says_what_it_is_for() -> None:
    """In its docstring; a room's stands in its `__init__`."""
    trees = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in modules().items()}
    silent = [module for module, tree in trees.items() if not ast.get_docstring(tree)]
    assert silent == []


# What a start costs

HEAVY = (
    "sqlalchemy", "alembic", "fastapi", "starlette", "uvicorn", "httpx2", "pycurl", "huggingface_hub", "gguf", "numpy",
)  # fmt: skip


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("windlass.cli.main", (*HEAVY, "yaml", "rich.progress", "windlass.service")),
        ("windlass.cli.backend", HEAVY),
        ("windlass.settings", HEAVY),
        ("windlass.service", HEAVY),
        ("windlass.client.client", ("sqlalchemy", "fastapi", "uvicorn", "pycurl", "huggingface_hub", "gguf")),
    ],
)
def test_heavy_packages_wait_until_they_are_needed(module: str, heavy: tuple[str, ...]) -> None:
    """`--help` takes a quarter of a second: importing the module brings in none of these."""
    code = f"import sys, {module}; print(*[name for name in {heavy!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
