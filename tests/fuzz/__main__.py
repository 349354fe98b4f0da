"""Fuzzes the scanners, one after the other: `python -m fuzz [--seconds 60] [TARGET…]`, with atheris installed.

What does harm is kept in `found/<target>/`, for the usual tests to try for good; what reaches new code in
`.make/fuzz/<target>/`, for the next run to go on from.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from fuzz.seeds import seeds
from fuzz.targets import TARGETS

HERE = Path(__file__).parent
FOUND = HERE / "found"
CORPUS = HERE.parents[1] / ".make" / "fuzz"

_SECONDS = 10  # for one input: the slowest that is allowed takes two
_MEBIBYTES = 768  # of the whole process; atheris and what it has instrumented take a fifth
_LONGEST = 65_536  # bytes of an input, but for a text that is longer by itself


def main() -> int:
    """Run each target; 1 when an input did harm."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("targets", nargs="*", default=list(TARGETS), help=", ".join(TARGETS))
    asked = parser.parse_args()
    harmless = [_run(name, asked.seconds) for name in asked.targets]
    return 0 if all(harmless) else 1


def _run(name: str, seconds: int) -> bool:
    corpus, found = CORPUS / name, FOUND / name
    corpus.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    kept = seeds(name)
    for seed in kept:
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    words = corpus.with_suffix(".words")
    words.write_text("".join(_dictionary(kept)), encoding="ascii")
    limits = [f"-max_total_time={seconds}", f"-timeout={_SECONDS}", f"-rss_limit_mb={_MEBIBYTES}"]
    aids = [f"-max_len={_LONGEST}", f"-dict={words}", f"-artifact_prefix={found}/", "-print_final_stats=1"]
    command = [sys.executable, "-m", "fuzz.one", name, *limits, *aids, str(corpus)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    ended = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    sys.stdout.write(f"{name:14} {_summary(ended.stderr)}{'' if ended.returncode == 0 else '  HARM'}\n")
    sys.stdout.flush()
    if ended.returncode:
        sys.stderr.write(ended.stderr[-4000:])
    if not any(found.iterdir()):
        found.rmdir()
    return ended.returncode == 0


def _dictionary(kept: Iterable[bytes]) -> Iterator[str]:
    """The words of the examples, as libFuzzer wants them: by chance alone no key would ever be met."""
    words = {word for seed in kept for word in re.findall(rb'"?[\w.-]{3,40}"?', seed[:8192])}
    for word in sorted(words)[:500]:
        escaped = "".join(f"\\x{byte:02x}" for byte in word)
        yield f'"{escaped}"\n'


def _summary(said: str) -> str:
    """What libFuzzer says of itself at its end, in one line."""
    executed, peak = (
        re.findall(rf"stat::{stat}:\s+(\d+)", said) for stat in ("number_of_executed_units", "peak_rss_mb")
    )
    reached = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", said)
    edges, features, inputs = reached[-1] if reached else ("?", "?", "?")
    count, mebibytes = (values[-1] if values else "?" for values in (executed, peak))
    return f"{count:>9} inputs, {edges} edges, {features} features, {inputs} kept, {mebibytes} MiB"


if __name__ == "__main__":
    sys.exit(main())
