"""A process for the tests of presence: is there, says so, and stays until its input ends."""

import sys
from pathlib import Path

from windlass.errors import StateInUse
from windlass.presence import Presence


def main(home: str, address: str = "") -> None:
    with Presence(Path(home)) as presence:
        try:
            if address:
                presence.serve(address)
            print(presence.name, flush=True)
        except StateInUse as error:
            print(f"refused: {error}", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
