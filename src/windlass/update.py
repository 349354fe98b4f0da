"""What is newer about a model: the manifest that it came by, held against what the same request means now.

Pure. A repository that has moved on without touching the model's files, as with a new README, is no update.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from windlass.manifest import Manifest, ManifestFile


@dataclass(frozen=True, slots=True)
class Update:
    """What bringing a model up to date does. The files of each kind are in their manifest's order.

    Attributes:
        then: the manifest that the model came by.
        now: what the same request means now.
        changed: files of `now` that take the place of one with another digest.
        came: files of `now` where `then` had none.
        went: files of `then` where `now` has none.
        texts: whether the catalog's model.yaml reads otherwise; its texts are written again with any update.
    """

    then: Manifest
    now: Manifest
    changed: tuple[ManifestFile, ...]
    came: tuple[ManifestFile, ...]
    went: tuple[ManifestFile, ...]
    texts: bool

    @property
    def bytes_to_fetch(self) -> int:
        """Bytes of the files that changed or came; less is fetched where some of them are on this machine already."""
        return sum(file.size for file in (*self.changed, *self.came))

    @property
    def commit(self) -> str:
        """The commit that the model came from."""
        return self.then.files[0].commit

    @property
    def newest_commit(self) -> str:
        """The commit that it comes from now; the same as `commit` where only the catalog's text has changed."""
        return self.now.files[0].commit


def compare(then: Manifest, now: Manifest) -> Update | None:
    """What is newer in `now`; None where the model is up to date.

    Paths and digests count, the commit does not, nor does the repository's name: one that was renamed brings the same
    bytes. Where a digest is of another kind than before (git's own of a file that has since moved to LFS), nobody can
    tell whether the content is the same, so the file counts as changed; a pull hashes what is here before it fetches.
    Of the catalog's two texts model.yaml counts: the other one is made up where the catalog does not answer with it.
    """
    texts = _model_yaml(then) != _model_yaml(now)
    if not texts and _content(then) == _content(now):
        return None
    before = {file.shelf_path: file for file in then.files}
    after = {file.shelf_path for file in now.files}
    return Update(
        then,
        now,
        changed=tuple(file for file in now.files if _differs(file, before)),
        came=tuple(file for file in now.files if file.shelf_path not in before),
        went=tuple(file for file in then.files if file.shelf_path not in after),
        texts=texts,
    )


def sharers(update: Update, others: Iterable[Manifest]) -> list[Manifest]:
    """Those of `others` that are not whole any more after an update: they name a file that it changes, as it was.

    Two quantizations with one projector are the usual case, or one model that was asked for by two names.
    """
    changed = {file.shelf_path: file for file in update.changed}
    return [one for one in others if one.key != update.then.key and any(_differs(file, changed) for file in one.files)]


def update_body(update: Update) -> dict[str, Any]:
    """An update as JSON; a new model.yaml is called as it is among a job's items."""
    files = [file.shelf_path for file in (*update.changed, *update.came)]
    if update.texts and update.now.catalog:
        files.append(f"{update.now.catalog.id}/model.yaml")
    return {
        "commit": update.commit,
        "newest_commit": update.newest_commit,
        "files": files,
        "bytes_to_fetch": update.bytes_to_fetch,
    }


def _content(manifest: Manifest) -> frozenset[tuple[str, Any]]:
    return frozenset((file.path, file.digest) for file in manifest.files)


def _model_yaml(manifest: Manifest) -> list[str]:
    """The lines that say something: the catalog's ways to its text differ in the comment at its head and in blanks."""
    lines = manifest.catalog.model_yaml.splitlines() if manifest.catalog else []
    return [line.rstrip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _differs(file: ManifestFile, before: dict[str, ManifestFile]) -> bool:
    """Whether another content has, or had, the file's place."""
    return file.shelf_path in before and before[file.shelf_path].digest != file.digest
