"""Repositories of many files: what they cost in work and in memory, counted and not timed."""

import os
import subprocess
import sys

import pytest

from effort import calls
from hub.hubsite import COMMIT, Answer, Site, as_json
from windlass.hub.catalog import Catalog
from windlass.hub.huggingface import HuggingFace
from windlass.hub.resolve import Resolver
from windlass.hub.web import Web
from windlass.names import ModelRef
from windlass.names import Site as Place

PAGE = 1000
TREE = f"/api/models/o/r/tree/{COMMIT}?recursive=true&expand=false"


def path_of(number: int) -> str:
    """Nine quantizations, each in shards in a folder of its own."""
    return f"Q{number % 9}_K/x-Q{number % 9}_K-{number // 9 + 1:05d}-of-{{count:05d}}.gguf"


def rows_of(paths: list[str]) -> list[dict[str, object]]:
    lfs = {"oid": "2" * 64, "size": 7, "pointerSize": 135}
    return [
        {"type": "file", "path": path, "oid": "1" * 40, "size": 135, "lfs": lfs, "xetHash": "3" * 64} for path in paths
    ]


def add_large_repository(site: Site, count: int) -> None:
    """`count` files, a thousand a page as the hub sends them; `siblings` names them all once more."""
    paths = [path_of(number).format(count=count // 9) for number in range(count // 9 * 9)]
    about = {"id": "o/r", "sha": COMMIT, "siblings": [{"rfilename": path} for path in paths]}
    site.pages["/api/models/o/r/revision/main"] = as_json(about)
    for start in range(0, len(paths), PAGE):
        end = start + PAGE
        link = {"Link": f'<{site.address}{TREE}&cursor={end}>; rel="next"'} if end < len(paths) else {}
        answer: Answer = as_json(rows_of(paths[start:end]), **link)
        site.pages[f"{TREE}&cursor={start}" if start else TREE] = answer


@pytest.fixture
def resolver(site: Site, web: Web) -> Resolver:
    hub = HuggingFace(web, site.address, lambda: None)
    return Resolver(hub, Catalog(web, site.address), ("linux", "x86_64"))


REF = ModelRef(Place.HUB, "o", "r", quantization="Q4_K")


def test_two_thousand_files_are_little_work(site: Site, resolver: Resolver) -> None:
    """Some 40 calls a file from the first request to the manifest; a second's worth would be a thousand or more."""
    add_large_repository(site, 2000)
    assert calls(lambda: resolver.resolve(REF)) < 80 * 2000


def test_work_grows_with_the_files_and_no_faster(site: Site, resolver: Resolver) -> None:
    """Ten times the files, ten times the work."""
    add_large_repository(site, 1000)
    few = calls(lambda: resolver.resolve(REF))
    resolver.forget()
    add_large_repository(site, 10_000)
    assert calls(lambda: resolver.resolve(REF)) < 11 * few


# In a process of its own, which is looked at as a whole: to trace each allocation takes ten times as long.
RESOLVE = """
import resource, sys
from windlass.hub.catalog import Catalog
from windlass.hub.huggingface import HuggingFace
from windlass.hub.resolve import Resolver
from windlass.hub.web import Web
from windlass.names import ModelRef, Site

def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

web, address = Web(), sys.argv[1]
resolver = Resolver(HuggingFace(web, address, lambda: None), Catalog(web, address), ("linux", "x86_64"))
web.get(address)
before = most()
resolver.resolve(ModelRef(Site.HUB, "o", "r", quantization="Q4_K"))
print(most() - before)
"""


def test_a_hundred_thousand_files_fit_into_memory(site: Site) -> None:
    """A page of a thousand is read at a time; what is kept of a file is its path, size and hash."""
    add_large_repository(site, 100_000)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-c", RESOLVE, site.address]
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    assert int(ended.stdout) < 100_000_000
    assert len(site.asked) == 102  # the first is none of the listing's
