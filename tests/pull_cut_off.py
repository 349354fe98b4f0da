"""Pulls three files, each time in a process that dies one step later of its publishing: `python … FOLDER`."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from a_network import Answers
from mortal import Steps, dies_at_each_step
from pulling import bring, means_of
from sample import file_of, manifest_of
from windlass.library.arrivals import Arrival
from windlass.library.shelf import Shelf

FILES = {f"part-{number}.safetensors": b"content %d" % number for number in range(3)}
MANIFEST = manifest_of(*(file_of(content, path) for path, content in FILES.items()), format="mlx")


class Fateful(Shelf):
    """A shelf on which the process's last steps begin to count."""

    steps: Steps

    def publish(self, arrivals: Sequence[Arrival]) -> None:
        self.steps.begin()
        super().publish(arrivals)


def pull(folder: Path, steps: Steps) -> None:
    shelf = Fateful(folder, folder)
    shelf.steps = steps
    with ThreadPoolExecutor(1) as threads:
        bring(MANIFEST, means_of(shelf, threads, Answers(FILES)))


if __name__ == "__main__":
    dies_at_each_step(Path(sys.argv[1]), pull)
