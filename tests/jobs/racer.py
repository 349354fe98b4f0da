"""A process for the store's tests: does as its arguments say, and prints what came of it."""

import os
import signal
import sys
import time

from sample import numbered
from windlass.jobs.states import START
from windlass.jobs.store import Store


def main(verb: str, url: str, go: str) -> None:
    with Store(url, time.time) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        if verb == "add":
            print(*[store.add(numbered(number)).id for number in range(int(go))], flush=True)
        else:
            job = store.add(numbered(0))
            store.move(job.id, START, owner="racer")
            store.progress(job.id, 5)
            print(job.id, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
