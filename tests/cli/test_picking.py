"""Picking from a list: a number, Enter, or something else."""

from typing import Any, cast

import pytest
from typer import Abort

from windlass.cli.backend import Backend
from windlass.cli.picking import pick_model, pick_quantization
from windlass.cli.search import show_found

Capture = pytest.CaptureFixture[str]
ROWS = [{"id": "qwen/qwen3-4b"}, {"id": "qwen/qwen3-8b"}]


def quantization(name: str, *, default: bool = False, fits: bool = True) -> dict[str, Any]:
    return {
        "name": name,
        "format": "gguf",
        "size_bytes": 10**9,
        "default": default,
        "fits_disk": fits,
        "fits_memory": "ram",
    }


class Planned:
    """A backend that plans this."""

    def __init__(self, *quantizations: dict[str, Any]) -> None:
        self._quantizations = quantizations

    def plan(self, *_: object) -> dict[str, Any]:
        return {"quantizations": [*self._quantizations]}


@pytest.mark.parametrize(
    ("typed", "picked"),
    [
        (["2\n"], "qwen/qwen3-8b"),
        ([" 1 \n"], "qwen/qwen3-4b"),
        (["\n"], None),
        (["3\n", "0\n", "-1\n", "two\n", "²\n", "1\n"], "qwen/qwen3-4b"),
    ],
)
def test_a_model_is_picked_by_its_number(typed: list[str], picked: str | None, capsys: Capture) -> None:
    """What is no number of the list is said, and asked again; nothing is written to stdout, which is for data."""
    lines = iter(typed)
    assert pick_model(ROWS, lambda: next(lines)) == picked
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("is no number from 1 to 2") == len(typed) - 1


class Found:
    """A backend that finds one model."""

    def search(self, *_: object) -> dict[str, Any]:
        return {"models": [{"id": "a/b", "formats": ["gguf"], "source": "hub", "gated": False}], "warnings": []}


@pytest.mark.parametrize("numbered", [True, False])
def test_the_list_to_pick_from_is_part_of_the_question(capsys: Capture, numbered: bool) -> None:
    """`m=$(windlass search tiny --pick)` is to hold the path alone; without a question the list is the data."""
    show_found(cast("Backend", Found()), ("", None), 20, as_json=False, numbered=numbered)
    out, err = capsys.readouterr()
    assert ("a/b" in out, "a/b" in err) == (not numbered, numbered)


def test_the_end_of_input_is_no_answer() -> None:
    """Ctrl-D at the second question must not bring in what is recommended."""
    behind = cast("Backend", Planned(quantization("Q4_K_M", default=True), quantization("Q8_0")))
    with pytest.raises(Abort):
        pick_model(ROWS, lambda: "")
    with pytest.raises(Abort):
        pick_quantization(behind, "qwen/qwen3-8b", None, lambda: "")


def test_a_quantization_is_picked_from_a_table(capsys: Capture) -> None:
    """With size, what is recommended, and what has no room."""
    behind = cast("Backend", Planned(quantization("Q4_K_M", default=True), quantization("Q8_0", fits=False)))
    assert pick_quantization(behind, "qwen/qwen3-8b", None, lambda: "2\n") == "Q8_0"
    out, err = capsys.readouterr()
    assert out == ""  # where the path of what was picked will stand, alone
    _, first, second, *_ = err.splitlines()
    assert first.split() == ["1", "Q4_K_M", "gguf", "1.00", "GB", "recommended", "in", "memory"]
    assert "no room on the disk" in second
    assert pick_quantization(behind, "qwen/qwen3-8b", None, lambda: "\n") is None


def test_where_there_is_no_choice_nobody_is_asked() -> None:
    """One quantization, or none that has a name."""
    for plan in (Planned(), Planned(quantization("4bit"))):
        assert pick_quantization(cast("Backend", plan), "a/b", "mlx", lambda: pytest.fail("asked")) is None
