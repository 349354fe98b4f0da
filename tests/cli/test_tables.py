"""Tables that fit: what people copy stays whole, long texts give way."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from windlass.cli.tables import fitted, jobs_table, table


def drawn(model: str, width: int, status: str = "downloading") -> list[str]:
    job = {
        "job_id": "job_493c7c9ded",
        "status": status,
        "phase": "transferring",
        "downloaded_bytes": 15_000_000,
        "total_size_bytes": 2_280_000_000,
        "bytes_per_second": 107_000_000.0,
        "items": [{"id": model, "quantization": {"name": "Q4_K_M"}}],
    }
    console = Console(file=io.StringIO(), width=width, force_terminal=False, emoji=False, highlight=False)
    with console.capture() as captured:
        console.print(fitted(jobs_table([job, job]), width))
    return captured.get().splitlines()


@given(st.text("abcxyz-/", min_size=1, max_size=150), st.integers(48, 200))
def test_a_table_fits_and_ids_stay_whole(model: str, width: int) -> None:
    """No line is wider than the terminal, none is wrapped, and id, status and share can be read on each."""
    lines = drawn(model, width)
    assert len(lines) == 3
    assert all(len(line) <= width for line in lines)
    for line in lines[1:]:
        assert line.startswith("job_493c7c9ded  ")
        assert "transferring" in line
        assert " 1 %" in line


def test_in_a_sliver_the_id_and_something_of_the_name_stay() -> None:
    """The id is copied for `pause`; what it is doing, and how far it is, go before nothing says which model it is."""
    assert drawn("qwen/qwen3-8b", 44)[1].split() == ["job_493c7c9ded", "qwen/qwen3-8b@Q4_K_M", "1", "%"]
    assert drawn("qwen/qwen3-8b", 30)[1].split() == ["job_493c7c9ded", "qwen/qwen3-…"]


def test_columns_go_in_the_order_of_what_matters_least() -> None:
    """With room all are there; then time left goes, then the size, then the speed."""
    heads = [drawn("qwen/qwen3-8b", width)[0].split() for width in (120, 80, 70, 60)]
    assert heads == [
        ["JOB", "MODEL", "STATUS", "DONE", "SIZE", "SPEED", "LEFT"],
        ["JOB", "MODEL", "STATUS", "DONE", "SIZE", "SPEED"],
        ["JOB", "MODEL", "STATUS", "DONE", "SPEED"],
        ["JOB", "MODEL", "STATUS", "DONE"],
    ]


def test_a_model_that_fits_is_not_cut() -> None:
    """Only what has no room is."""
    assert "qwen/qwen3-8b@Q4_K_M" in drawn("qwen/qwen3-8b", 60)[1]
    assert "…" in drawn("qwen/" + "x" * 60, 60)[1]


def test_what_a_short_text_leaves_is_for_the_long_one() -> None:
    """Two texts in one table: none is cut while there is room, and the shorter one last."""
    console = Console(file=io.StringIO(), width=60, force_terminal=False, emoji=False, highlight=False)
    filled = table("NO MODEL", "WHY")
    filled.add_row("a/b.gguf", "x" * 100)
    with console.capture() as captured:
        console.print(fitted(filled, 60))
    row = captured.get().splitlines()[1]
    assert row.startswith("a/b.gguf  " + "x" * 45)
    assert len(row) <= 60
