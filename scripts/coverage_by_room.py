"""Branches covered in each room, from `.coverage`; fails below the bound that the project holds itself to."""

import json
import subprocess
import sys

BOUND = 95.0
ROOMS = ("hub", "transfer", "library", "jobs")


def main() -> int:
    """Print a line for each room; 1 if one is below the bound."""
    report = subprocess.run(
        [sys.executable, "-m", "coverage", "json", "-q", "-o", "-"], check=True, stdout=subprocess.PIPE
    )
    files = json.loads(report.stdout)["files"]
    shares = {
        room: _share([data["summary"] for path, data in files.items() if f"windlass/{room}/" in path]) for room in ROOMS
    }
    for room, share in shares.items():
        print(f"{room:10} {share:6.1f} % of branches")  # noqa: T201 - this is a command
    low = [room for room, share in shares.items() if share < BOUND]
    if low:
        print(f"Below {BOUND} %: {', '.join(low)}. See: .venv/bin/coverage report")  # noqa: T201
    return 1 if low else 0


def _share(summaries: list[dict[str, int]]) -> float:
    total = sum(summary["num_branches"] for summary in summaries)
    return 100.0 * sum(summary["covered_branches"] for summary in summaries) / total if total else 0.0


if __name__ == "__main__":
    sys.exit(main())
