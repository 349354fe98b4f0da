"""Folders with many models, listed: by a server, by the shelf alone, and by a command that starts from nothing."""

import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.control import FIRST, MOST, P50, SECONDS, Bound, Found, Reading
from benchmarks.line import ServerFailure, get
from benchmarks.many_models import write_models
from benchmarks.process import run
from benchmarks.scenarios import FEW_MODELS, LISTS, MANY_MODELS, Scenario
from benchmarks.server import Server
from benchmarks.tools import WINDLASS_LS, WINDLASS_SERVE
from benchmarks.trials import Field
from windlass.library.shelf import Shelf

ANSWERS = "The list of models, asked for again and again"
COMMANDS = "`windlass ls` as a whole process"

_SERVED, _ASKED = "GET /api/v1/models", "Shelf.models()"
_LOOKS = 20
_VOCABULARY = 151_936  # texts, as many as Qwen3's, and as many merges


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many models stand in a folder, and how many texts the vocabulary of each GGUF has."""

    title: str
    count: int
    vocabulary: int


def crowds(shrink: int) -> tuple[Crowd, Crowd]:
    """Divided by `shrink`. Real vocabularies only where heads are read with a goal: 2,000 of them are 11 GB."""
    few, many = FEW_MODELS // shrink, MANY_MODELS // shrink
    return Crowd("few models", few, _VOCABULARY // shrink), Crowd("many models", many, 100)


def served(crowd: str) -> str:
    """The row of a server's answer."""
    return f"{_SERVED}, {crowd}"


def asked(crowd: str) -> str:
    """The row of the shelf's own answer, without a server."""
    return f"{_ASKED}, {crowd}"


def unread(crowd: str) -> str:
    """The row of a command where nothing is known of any model yet."""
    return f"{crowd}, none of them read yet"


_WARM = "a list of many models, {}, p50, ms"
_COLD = "`windlass ls` of few models, none of them read yet, s"
GOALS = (
    Bound(_WARM.format("by a server"), ANSWERS, served("many models"), P50, 100, scenario=LISTS),
    Bound(_WARM.format("by the shelf"), ANSWERS, asked("many models"), P50, 100, scenario=LISTS),
    Bound(_COLD, COMMANDS, unread("few models"), SECONDS, 2, scenario=LISTS),
)


def watch(shrink: int, scenario: Scenario, field: Field, rounds: int, say: Callable[[str], None]) -> Iterator[Reading]:
    """Write the folders once, then list each of them in every round."""
    folders = {crowd: field.folder.with_name(crowd.title.replace(" ", "-")) for crowd in crowds(shrink)}
    for crowd, folder in folders.items():
        say(f"  Writing {crowd.count:,} models, each with a vocabulary of {crowd.vocabulary:,} texts")
        write_models(folder, crowd.count, crowd.vocabulary, random.Random(crowd.count))
    for number in range(rounds):
        for crowd, folder in folders.items():
            for reading in _round(scenario, field, number, (crowd.title, folder)):
                figures = ", ".join(f"{column} {value:.2f}" for column, value in reading.values.items())
                say(f"  {reading.row:42} {figures or 'FAILED: ' + reading.said}")
                yield reading
    for folder in folders.values():
        shutil.rmtree(folder)


def _round(scenario: Scenario, field: Field, number: int, where: tuple[str, Path]) -> Iterator[Reading]:
    for table, look in ((COMMANDS, _commands), (ANSWERS, _answers)):
        try:
            for row, values in look(scenario, field, *where):
                yield Reading(scenario.key, number, table, row, values)
        except ServerFailure as failure:
            yield Reading(scenario.key, number, table, where[0], said=str(failure))


def _answers(scenario: Scenario, field: Field, crowd: str, folder: Path) -> Found:
    with field.errand(scenario) as errand:
        command = WINDLASS_SERVE.command(errand, **scenario.settings, WINDLASS_MODELS_DIR=str(folder))
        with Server(command) as server:
            yield served(crowd), _looks(lambda: server.milliseconds(get("/api/v1/models")))
    shelf = Shelf(folder, folder)
    yield asked(crowd), _looks(lambda: _milliseconds(shelf))


def _commands(scenario: Scenario, field: Field, crowd: str, folder: Path) -> Found:
    """Once before, so that the heads are at hand in memory: what is measured is not the disk."""
    with field.errand(scenario) as errand:
        command = WINDLASS_LS.command(errand, **scenario.settings, WINDLASS_MODELS_DIR=str(folder))
        run(command)
        (folder / ".windlass" / "heads.json").unlink(missing_ok=True)
        for row in (unread(crowd), crowd):
            usage = run(command)
            if usage.code:
                raise ServerFailure(usage.said)
            yield row, {SECONDS: usage.wall}


def _looks(look: Callable[[], float]) -> Mapping[str, float]:
    """The first is told apart: it reads what was written down of the heads."""
    first, *others = (look() for _ in range(_LOOKS + 1))
    return {FIRST: first, P50: median(others), MOST: max(others)}


def _milliseconds(shelf: Shelf) -> float:
    begun = time.perf_counter()
    shelf.models()
    return (time.perf_counter() - begun) * 1000
