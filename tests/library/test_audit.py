"""Receipts held against the shelf: each damage is told of by its kind, and what is dropped is of no use to anybody."""

import json
import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import pytest

from library.shelving import Put, WriteGguf, bring, file_of, manifest_of
from windlass.errors import StorageUnavailable
from windlass.findings import DROP, REMOVE, Finding, Kind
from windlass.library import audit as module
from windlass.library.audit import audit, drop_model_receipt, drop_receipt, look, remove_temporary
from windlass.library.importing import Importing
from windlass.library.imports import Import
from windlass.library.receipts import trouble_with
from windlass.library.shelf import Shelf

PROJECTOR = b"p" * 100
NOW = 4_000_000_000.0  # long after all that the tests write
FOUR, EIGHT, EYE = (f"owner/M-GGUF/{name}.gguf" for name in ("M-Q4_K_M", "M-Q8_0", "mmproj-F16"))


@pytest.fixture
def shelf(shelf: Shelf, gguf_bytes: WriteGguf) -> Shelf:
    """Two quantizations that share a projector, whole."""
    projector = file_of(PROJECTOR, "mmproj-F16.gguf", role="projector")
    bring(shelf, projector, PROJECTOR)
    for quantization in ("Q4_K_M", "Q8_0"):
        content = gguf_bytes(name=quantization)
        file = file_of(content, f"M-{quantization}.gguf")
        bring(shelf, file, content)
        shelf.finish(manifest_of(file, projector, quantization=quantization))
    return shelf


def found(
    shelf: Shelf, wanted: Collection[str] | None = (), begun: Collection[Path] = (), now: float = NOW
) -> list[Finding]:
    return list(audit(look(shelf), wanted, begun, now))


def kinds(findings: list[Finding]) -> list[tuple[Kind, bool]]:
    return [(finding.kind, finding.fix is not None) for finding in findings]


def model_receipt(shelf: Shelf, quantization: str = "q4_k_m") -> Path:
    [path] = shelf.receipts.models_folder.glob(f"*{quantization}*.json")
    return path


def newer(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "version": 99}))


def later(path: Path) -> None:
    found = path.stat()
    os.utime(path, ns=(found.st_mtime_ns, found.st_mtime_ns + 5_000_000_000))


def file(path: str) -> Callable[[Shelf], Path]:
    return lambda shelf: shelf.models_dir / path


def receipt(path: str) -> Callable[[Shelf], Path]:
    return lambda shelf: shelf.receipts.path(path)


def replace_by_folder(shelf: Shelf) -> None:
    (shelf.models_dir / FOUR).unlink()
    (shelf.models_dir / FOUR).mkdir()


def replace_by_link(shelf: Shelf, target: Path) -> None:
    (shelf.models_dir / FOUR).unlink()
    (shelf.models_dir / FOUR).symlink_to(target)


def remove_all(shelf: Shelf) -> None:
    shutil.rmtree(shelf.models_dir / "owner")


def unmount(shelf: Shelf) -> None:
    """All of an owner stands on another disk, which is not there now."""
    shutil.move(shelf.models_dir / "owner", shelf.models_dir.parent / "elsewhere")
    (shelf.models_dir / "owner").symlink_to(shelf.models_dir.parent / "not-mounted")


DAMAGES: dict[str, tuple[Callable[[Shelf], object], list[tuple[Kind, bool]]]] = {
    "nothing": (lambda shelf: None, []),
    "weights gone": (
        lambda shelf: file(FOUR)(shelf).unlink(),
        [(Kind.MODEL_NOT_WHOLE, False), (Kind.RECEIPT_WITHOUT_FILE, True)],
    ),
    "what two models need gone": (
        lambda shelf: file(EYE)(shelf).unlink(),
        [(Kind.MODEL_NOT_WHOLE, False), (Kind.MODEL_NOT_WHOLE, False), (Kind.RECEIPT_WITHOUT_FILE, True)],
    ),
    "a folder in its place": (
        replace_by_folder,
        [(Kind.MODEL_NOT_WHOLE, False), (Kind.RECEIPT_WITHOUT_FILE, True)],
    ),
    "cut off": (lambda shelf: os.truncate(file(FOUR)(shelf), 50), [(Kind.MODEL_NOT_WHOLE, False)]),
    "touched": (lambda shelf: later(file(FOUR)(shelf)), [(Kind.FILE_CHANGED, False)]),
    "all gone": (
        remove_all,
        [(Kind.MODEL_GONE, True)] * 2 + [(Kind.RECEIPT_WITHOUT_FILE, True)] * 3,
    ),
    "out of reach": (unmount, [(Kind.FILE_OUT_OF_REACH, False)] * 3),
    "a link to nothing": (
        lambda shelf: replace_by_link(shelf, shelf.models_dir / "nowhere"),
        [(Kind.FILE_OUT_OF_REACH, False)],
    ),
    "a link in a circle": (
        lambda shelf: replace_by_link(shelf, shelf.models_dir / FOUR),
        [(Kind.FILE_OUT_OF_REACH, False)],
    ),
    "receipt torn": (lambda shelf: os.truncate(receipt(FOUR)(shelf), 40), [(Kind.RECEIPT_UNREADABLE, True)]),
    "receipt empty": (lambda shelf: os.truncate(receipt(FOUR)(shelf), 0), [(Kind.RECEIPT_UNREADABLE, True)]),
    "receipt of a list": (lambda shelf: receipt(FOUR)(shelf).write_text("[]"), [(Kind.RECEIPT_UNREADABLE, True)]),
    "receipt too deep": (
        lambda shelf: receipt(FOUR)(shelf).write_text("[" * 100_000),
        [(Kind.RECEIPT_UNREADABLE, True)],
    ),
    "receipt too large": (
        lambda shelf: os.truncate(receipt(FOUR)(shelf), 65 * 1024 * 1024),
        [(Kind.RECEIPT_UNREADABLE, True)],
    ),
    "receipt newer": (lambda shelf: newer(receipt(FOUR)(shelf)), [(Kind.RECEIPT_UNREADABLE, False)]),
    "receipt dropped": (lambda shelf: receipt(FOUR)(shelf).unlink(), []),
    # Its files are whole, and look as if nobody had finished them: they stay.
    "model's receipt torn": (
        lambda shelf: os.truncate(model_receipt(shelf), 40),
        [(Kind.MODEL_RECEIPT_UNREADABLE, True), (Kind.FILES_UNFINISHED, False)],
    ),
    "model's receipt newer": (
        lambda shelf: newer(model_receipt(shelf)),
        [(Kind.MODEL_RECEIPT_UNREADABLE, False), (Kind.FILES_UNFINISHED, False)],
    ),
    "never finished": (lambda shelf: model_receipt(shelf).unlink(), [(Kind.FILES_UNFINISHED, False)]),
    "a folder as model's receipt": (
        lambda shelf: (shelf.receipts.models_folder / "x.json").mkdir(),
        [(Kind.MODEL_RECEIPT_UNREADABLE, False)],
    ),
    "a crash": (
        lambda shelf: receipt(FOUR)(shelf).with_name(".0123456789ab.part").write_text("{"),
        [(Kind.TEMPORARY_FILE, True)],
    ),
    "a crash beside": (
        lambda shelf: (shelf.private_dir / ".0123456789ab.part").write_text("{"),
        [(Kind.TEMPORARY_FILE, True)],
    ),
    "a copy": (lambda shelf: (shelf.receipts.models_folder / "x.json~").write_text("{"), [(Kind.TEMPORARY_FILE, True)]),
}


def mend(shelf: Shelf, finding: Finding) -> bool:
    path = Path(finding.where)
    if finding.fix is REMOVE:
        return remove_temporary(path)
    assert finding.fix is DROP
    if path.parent == shelf.receipts.models_folder:
        return drop_model_receipt(shelf.receipts, path, ())
    return drop_receipt(shelf.receipts, path.relative_to(shelf.receipts.files_folder).as_posix().removesuffix(".json"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_told_of_and_mended_where_that_is_safe(shelf: Shelf, damage: str) -> None:
    """What has a fix is gone after it, what has none says what to do; no file of a model goes, and no second fix is."""
    do, expected = DAMAGES[damage]
    do(shelf)
    wrong = found(shelf)
    assert kinds(wrong) == expected
    assert found(shelf) == wrong  # two looks that see the same agree
    before = set(shelf.models_dir.glob("owner/*/*"))
    assert all(mend(shelf, finding) for finding in wrong if finding.fix)
    assert all(finding.hint for finding in wrong if not finding.fix)
    assert found(shelf) == [finding for finding in wrong if not finding.fix]
    assert set(shelf.models_dir.glob("owner/*/*")) == before
    assert not any(mend(shelf, finding) for finding in wrong if finding.fix)


@pytest.mark.parametrize("damage", [name for name, (_, wrong) in DAMAGES.items() if "crash" not in name and wrong])
def test_what_an_open_job_wants_looks_fine(shelf: Shelf, damage: str) -> None:
    """The job will see to it; but a receipt that no model can be told from belongs to no job."""
    DAMAGES[damage][0](shelf)
    own = {Kind.MODEL_RECEIPT_UNREADABLE, Kind.TEMPORARY_FILE}
    assert {finding.kind for finding in found(shelf, {FOUR, EIGHT, EYE})} <= own


def test_a_job_for_one_of_two_models_says_nothing_of_the_other(shelf: Shelf) -> None:
    """What is lost is counted file by file."""
    (shelf.models_dir / EYE).unlink()
    assert found(shelf, {EIGHT, EYE}) == []
    os.truncate(shelf.models_dir / FOUR, 3)
    [finding] = found(shelf, {EIGHT, EYE})
    assert finding.kind is Kind.MODEL_NOT_WHOLE
    assert finding.message == "owner/M-GGUF@Q4_K_M is not whole: M-Q4_K_M.gguf missing or changed"


def test_the_hints_name_the_model(shelf: Shelf) -> None:
    """By the key that the other verbs take."""
    later(shelf.models_dir / FOUR)
    (shelf.models_dir / EIGHT).unlink()
    changed = {finding.kind: finding for finding in found(shelf)}
    [whole], [broken] = shelf.models(), shelf.broken()
    assert changed[Kind.FILE_CHANGED].hint == f"windlass verify {whole.key}"
    hint = changed[Kind.MODEL_NOT_WHOLE].hint
    assert hint == f"windlass verify {broken.key} --repair, or windlass rm {broken.key}"


def test_what_nobody_finished_is_to_be_finished(shelf: Shelf) -> None:
    """By its name and quantization; where nobody knows what jobs there are, nothing is said."""
    model_receipt(shelf).unlink()
    [finding] = found(shelf)
    assert finding.hint == "windlass get owner/M-GGUF@Q4_K_M finishes it; else delete them"
    assert finding.message.endswith("M-Q4_K_M.gguf")
    assert found(shelf, None) == []
    model_receipt(shelf, "q8_0").unlink()
    [finding] = found(shelf)
    assert finding.hint == "windlass get owner/M-GGUF finishes it; else delete them"


def test_what_has_changed_and_is_of_no_model(shelf: Shelf) -> None:
    """It is asked for again; here no key means it."""
    model_receipt(shelf).unlink()
    os.truncate(shelf.models_dir / FOUR, 3)
    [finding] = found(shelf)
    assert finding.kind is Kind.FILE_CHANGED
    assert finding.hint == "It is of no model here; windlass get owner/M-GGUF"
    assert "size" in finding.message


def test_a_model_by_two_names(shelf: Shelf) -> None:
    """The one that wants a file more is not whole, and has no key: the other one has the weights."""
    [weights] = [one for one in look(shelf).models[0].receipt.manifest.files if one.role == "weights"]  # type: ignore[union-attr]
    text = file_of(b"text", "tokenizer.json", role="data")
    shelf.finish(manifest_of(weights, text, id="owner/other"))
    [finding] = found(shelf)
    assert (finding.kind, finding.hint) == (Kind.MODEL_NOT_WHOLE, "windlass get owner/other@Q4_K_M")


def test_what_is_being_mended_keeps_its_receipt(shelf: Shelf) -> None:
    """A model of one file whose file was taken apart: nothing stands there, but there is a partial of it."""
    remove_all(shelf)
    [first, *rest] = found(shelf, begun={model_receipt(shelf)})
    assert (first.kind, first.fix, first.hint) == (Kind.MODEL_NOT_WHOLE, None, "windlass get owner/M-GGUF@Q4_K_M")
    assert rest[0].kind is Kind.MODEL_GONE


def test_what_was_brought_by_another_way_is_no_download(shelf: Shelf, tmp_path: Path, gguf_bytes: WriteGguf) -> None:
    """An imported file has a receipt and no model's receipt, and nothing is wrong with that."""
    (tmp_path / "I.gguf").write_bytes(gguf_bytes(name="I"))
    Importing(shelf.receipts, lambda: 0.0).bring_in(Import(tmp_path / "I.gguf", "me/I-GGUF/I.gguf"), "move")
    assert found(shelf) == []
    later(shelf.models_dir / "me/I-GGUF/I.gguf")
    [finding] = found(shelf)
    assert (finding.kind, finding.hint) == (Kind.FILE_CHANGED, "windlass verify i")


def test_what_is_being_written_is_no_leftover(shelf: Shelf) -> None:
    """It has the time of this moment."""
    path = shelf.private_dir / ".0123456789ab.part"
    path.write_text("{")
    now = path.stat().st_ctime
    assert found(shelf, now=now) == []
    assert kinds(found(shelf, now=now + module.SETTLED + 1)) == [(Kind.TEMPORARY_FILE, True)]


def test_a_file_that_comes_while_its_receipt_is_dropped_has_it(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever imports writes the receipt first."""
    path, aside = shelf.models_dir / FOUR, shelf.models_dir.parent / "aside"
    path.rename(aside)
    before, forget = shelf.receipts.read(FOUR), shelf.receipts.forget

    def forget_too_late(shelf_path: str) -> None:
        forget(shelf_path)
        aside.rename(path)

    monkeypatch.setattr(shelf.receipts, "forget", forget_too_late)
    assert not drop_receipt(shelf.receipts, FOUR)
    assert shelf.receipts.read(FOUR) == before


def test_what_is_in_order_is_not_dropped(shelf: Shelf) -> None:
    """Whoever was told of a damage that is no more has nothing to do; nor is what an open job brings in dropped."""
    path = model_receipt(shelf)
    assert not drop_receipt(shelf.receipts, FOUR)
    assert not drop_model_receipt(shelf.receipts, path, ())
    remove_all(shelf)
    assert not drop_model_receipt(shelf.receipts, path, {FOUR, EYE})
    assert path.exists()
    newer(shelf.receipts.path(FOUR))
    newer(path)
    assert not drop_receipt(shelf.receipts, FOUR)
    assert not drop_model_receipt(shelf.receipts, path, ())


def test_a_receipt_that_may_not_be_read_stays(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk may let it be read another day; one that is gone is no trouble."""

    def refuse(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert trouble_with(shelf.receipts.path(FOUR)) == ("the receipt cannot be read: Permission denied", False)
    assert trouble_with(shelf.receipts.path("gone")) is None


def test_a_disk_that_refuses_is_said(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for every other work on it."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    remove_all(shelf)
    monkeypatch.setattr(Path, "unlink", refuse)
    works: list[Callable[[], bool]] = [
        lambda: drop_receipt(shelf.receipts, FOUR),
        lambda: drop_model_receipt(shelf.receipts, model_receipt(shelf), ()),
        lambda: remove_temporary(shelf.models_dir / "x"),
    ]
    for work in works:
        with pytest.raises(StorageUnavailable, match="Read-only"):
            work()


def test_where_nothing_is_nothing_is_wrong(tmp_path: Path) -> None:
    """And nothing is made."""
    assert found(Shelf(tmp_path / "models", tmp_path / "lmstudio")) == []
    assert list(tmp_path.iterdir()) == []


def test_what_vanishes_while_it_is_looked_at(shelf: Shelf, put: Put) -> None:
    """A receipt that is gone when it is read was never there."""
    sight = look(shelf)
    assert module.note_file(shelf.receipts, "gone") is None
    assert list(audit(replace(sight, files=(), models=()), (), (), NOW)) == []
