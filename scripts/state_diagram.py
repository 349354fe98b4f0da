"""Writes the states of a job and the moves between them into docs/jobs.md, from the one table of `jobs/states.py`."""

from pathlib import Path

from windlass.jobs.states import EDGES, State, status_of

PAGE = Path(__file__).parents[1] / "docs" / "jobs.md"
BEGIN = "<!-- Made by `make docs` from src/windlass/jobs/states.py -->\n"
END = "<!-- The end of what is made -->\n"


def render() -> str:
    """The diagram (Mermaid), what LM Studio's API calls each state, and the moves."""
    return "\n".join([*_diagram(), "", *_words(), "", *_moves(), ""])


def written(page: str) -> str:
    """The page with that in its place."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{render()}{END}{rest.partition(END)[2]}"


def _diagram() -> list[str]:
    moves = [f"    {source} --> {edge.target}: {edge.name}" for edge in EDGES for source in sorted(edge.sources)]
    return ["```mermaid", "stateDiagram-v2", "    [*] --> queued: add", *moves, "```"]


def _words() -> list[str]:
    return ["| state | `status` |", "| --- | --- |", *(f"| {state} | `{status_of(state)}` |" for state in State)]


def _moves() -> list[str]:
    rows = [f"| {edge.name} | {', '.join(sorted(edge.sources))} | {edge.target} | {edge.when} |" for edge in EDGES]
    return ["| move | from | to | when |", "| --- | --- | --- | --- |", *rows]
