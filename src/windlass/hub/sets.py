"""Sets of shards in a listing: all or none. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from windlass.hub.listing import HubFile
from windlass.quantization import Shard, shard_of


@dataclass(frozen=True, slots=True)
class FileSet:
    """A single file, or what there is of a set of shards, in order. `stem` is the path without the shard's number."""

    stem: str
    files: tuple[HubFile, ...]
    count: int = 1

    @property
    def whole(self) -> bool:
        """Whether each of the shards is there once: from 1 to `count`, or as some have it from 0, to the one before."""
        shards = [shard_of(file.path) for file in self.files]
        there, count = [shard.index for shard in shards if shard], self.count
        if not there:
            return len(self.files) == 1
        return there in (list(range(1, count + 1)), list(range(count)), list(range(count + 1)))


def file_sets(files: Iterable[HubFile]) -> list[FileSet]:
    """Files grouped into sets, in the order in which the listing first names each."""
    groups: dict[tuple[str, int], list[tuple[int, HubFile]]] = defaultdict(list)
    for file in files:
        shard = shard_of(file.path) or Shard(file.path, 1, 1)
        groups[shard.stem, shard.count].append((shard.index, file))
    return [
        FileSet(stem, tuple(file for _, file in sorted(members, key=_index)), count)
        for (stem, count), members in groups.items()
    ]


def _index(member: tuple[int, HubFile]) -> tuple[int, str]:
    return member[0], member[1].path
