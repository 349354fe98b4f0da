"""Whether a model fits into memory: the guess, and what it is made from."""

import subprocess
from pathlib import Path

import pytest

from windlass.fit import Memory, Place, memory_here, needed, place_of

GB = 10**9
LINUX = ("linux", "x86_64")


@pytest.mark.parametrize(
    ("size", "memory", "place"),
    [
        (5 * GB, Memory(ram=64 * GB, gpu=24 * GB), "gpu"),
        (24 * GB, Memory(ram=64 * GB, gpu=24 * GB), "gpu+ram"),
        (60 * GB, Memory(ram=64 * GB, gpu=24 * GB), "gpu+ram"),
        (90 * GB, Memory(ram=64 * GB, gpu=24 * GB), "nowhere"),
        (5 * GB, Memory(ram=16 * GB), "ram"),
        (14 * GB, Memory(ram=16 * GB), "nowhere"),
        (5 * GB, Memory(ram=16 * GB, shared=True), "gpu"),
        (11 * GB, Memory(ram=16 * GB, shared=True), "ram"),
        (14 * GB, Memory(ram=16 * GB, shared=True), "nowhere"),
        (5 * GB, Memory(), "unknown"),
        (5 * GB, Memory(gpu=24 * GB), "gpu"),
        (50 * GB, Memory(gpu=24 * GB), "unknown"),
    ],
)
def test_where_it_fits(size: int, memory: Memory, place: Place) -> None:
    """The fastest place that holds it with something over; what is not known is not called too small."""
    assert place_of(size, memory) == place
    assert needed(size) > size


def test_all_cards_count_together(tmp_path: Path) -> None:
    """NVIDIA's own tool says how much each has, in MiB."""
    memory = memory_here(LINUX, lambda _: "24564\n24564\n", tmp_path)
    assert memory.gpu == 2 * 24564 * 1024 * 1024
    assert memory.ram
    assert not memory.shared


@pytest.mark.parametrize(
    "error", [FileNotFoundError(), subprocess.TimeoutExpired("nvidia-smi", 5), subprocess.CalledProcessError(9, "x")]
)
def test_a_machine_without_cards(tmp_path: Path, error: Exception) -> None:
    """No driver, or one that hangs or fails: nothing is known of cards."""

    def fail(_: list[str]) -> str:
        raise error

    assert memory_here(LINUX, fail, tmp_path).gpu is None


def test_what_nobody_can_read_is_nothing(tmp_path: Path) -> None:
    """`[N/A]`, as some cards answer."""
    assert memory_here(LINUX, lambda _: "[N/A]\n", tmp_path).gpu is None


def test_apples_memory_is_one(tmp_path: Path) -> None:
    """No tool is asked."""

    def fail(_: list[str]) -> str:
        raise AssertionError

    memory = memory_here(("darwin", "arm64"), fail, tmp_path)
    assert memory.shared
    assert memory.gpu is None


@pytest.mark.parametrize("path", ["memory.max", "memory/memory.limit_in_bytes"])
def test_a_container_has_less_than_its_machine(tmp_path: Path, path: str) -> None:
    """What it may use counts; `max` says that it is not limited."""
    place = tmp_path / "sys/fs/cgroup" / path
    place.parent.mkdir(parents=True)
    place.write_text("1000000\n")
    assert memory_here(LINUX, lambda _: "", tmp_path).ram == 1_000_000
    place.write_text("max\n")
    assert (memory_here(LINUX, lambda _: "", tmp_path).ram or 0) > 1_000_000
