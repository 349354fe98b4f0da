"""Out of the house: models go to a folder, and from there to machines that reach no hub. Nothing on the way is lost."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.conftest import MIB, fill, gguf
from e2e.outside import PATIENCE, Home, Json, Server, sha256
from standin import Hub

NOWHERE = "http://127.0.0.1:9"  # discard: nobody answers there
EYE = {"acme/Eye-GGUF/Eye-Q4_K_M.gguf", "acme/Eye-GGUF/mmproj-Eye-F16.gguf"}
ROPE = {"acme/Rope-8B-GGUF/rope-8b-Q4_K_M.gguf"}
MLX = {f"acme/Rope-8B-MLX-4bit/{name}" for name in ("config.json", "tokenizer.json", "model.safetensors")}


@pytest.fixture
def away(tmp_path: Path) -> Home:
    """Another person's machine, without internet."""
    return Home(tmp_path / "away", NOWHERE)


def pack(home: Home, stick: Path) -> Path:
    """An export of a catalog model, one with a projector and an MLX folder, fetched by that machine."""
    for model in ("acme/rope-8b@q4_k_m", "acme/Eye-GGUF", "acme/Rope-8B-MLX-4bit"):
        assert home.run("get", model).returncode == 0
    done = home.run("export", "acme/rope-8b", "acme/Eye-GGUF", "rope-8b-mlx-4bit", "--to", str(stick))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["acme/rope-8b", "eye", "rope-8b-mlx-4bit"]
    return stick


@pytest.fixture
def exported(home: Home, tmp_path: Path) -> Path:
    """By the machine of this test."""
    return pack(home, tmp_path / "stick")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By a machine that nobody knows any more."""
    root = tmp_path_factory.mktemp("packed")
    with Hub() as hub:
        return pack(Home(root, fill(hub).url), root / "stick")


@pytest.fixture
def stick(packed: Path, tmp_path: Path) -> Path:
    """A copy of it, to do with as one likes."""
    return shutil.copytree(packed, tmp_path / "stick")


def rows(home: Home) -> dict[str, Json]:
    return {row["key"]: row for row in json.loads(home.run("ls", "--json").stdout)}


def seen(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def receipt(home: Home, shelf_path: str) -> Json:
    found: Json = json.loads((home.models / ".windlass" / "receipts" / f"{shelf_path}.json").read_text())
    return found


def spoil(path: Path) -> None:
    """One wrong byte in the middle, the size as it was."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


def check(stick: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=stick, capture_output=True, text=True, check=False)


def test_from_one_machine_to_another_without_a_hub(acme: Hub, home: Home, away: Home, exported: Path) -> None:
    """Listed, found, verified as at home, the catalog's texts too, and mended from the hub once there is one again."""
    came = away.run("import", str(exported), "-y")
    assert came.returncode == 0, came.stderr
    assert set(came.stdout.split()) == ROPE | EYE | MLX
    assert away.files() == home.files()
    there, here = rows(away), rows(home)
    assert there.keys() == here.keys() == {"acme/rope-8b", "eye", "rope-8b-mlx-4bit"}
    assert there == here
    assert {path: content for path, (content, _) in seen(away.catalog).items()} == {
        path: content for path, (content, _) in seen(home.catalog).items()
    }
    place = Path(away.run("path", "acme/rope-8b").stdout.strip())
    assert place == away.models / "acme" / "Rope-8B-GGUF" / "rope-8b-Q4_K_M.gguf"
    assert away.run("verify", "--all").returncode == 0
    for path in ROPE | EYE | MLX:
        ours, theirs = receipt(away, path), receipt(home, path)
        for each in (ours, theirs):
            del each["mtime_ns"], each["verified_at"]
        assert ours == theirs
        assert ours["source"] == acme.url
    spoil(place)
    online = Home(away.root, acme.url)
    sent = acme.sent(place.name)
    assert online.run("verify", "acme/rope-8b", "--repair").returncode == 0
    assert place.read_bytes() == (home.models / place.relative_to(away.models)).read_bytes()
    assert acme.sent(place.name) > sent
    asked = len(acme.asked("cdn"))
    assert online.run("get", "acme/Eye-GGUF").returncode == 0
    assert len(acme.asked("cdn")) == asked


def test_sha256sum_agrees(stick: Path) -> None:
    """With every file in the folder, those included that the hub knows by git's hash; and not with a wrong byte."""
    checked = check(stick)
    assert checked.returncode == 0, checked.stderr
    named = {line.partition(": ")[0] for line in checked.stdout.splitlines()}
    catalog = {f"catalog/acme/rope-8b/{name}" for name in ("model.yaml", "manifest.json")}
    assert named == ROPE | EYE | MLX | catalog | {"windlass-export.json"}
    assert named | {"SHA256SUMS"} == seen(stick).keys()
    spoil(stick / "acme/Rope-8B-MLX-4bit/model.safetensors")
    assert check(stick).returncode == 1


def test_a_second_import_does_nothing(away: Home, stick: Path) -> None:
    """Nothing is copied, nor written anew, and it says so."""
    assert away.run("import", str(stick), "-y").returncode == 0
    before = {path: stamp for path, (_, stamp) in seen(away.root / "lmstudio").items()}
    again = away.run("import", str(stick), "-y", "--json")
    assert again.returncode == 0
    assert [row["imported"] for row in json.loads(again.stdout)] == [False] * len(ROPE | EYE | MLX)
    assert {path: stamp for path, (_, stamp) in seen(away.root / "lmstudio").items()} == before


@pytest.mark.parametrize("way", [None, "--copy", "--move", "--hardlink", "--symlink"])
def test_each_way_in(away: Home, stick: Path, way: str | None) -> None:
    """Copied unless told otherwise, for an export is for more than one machine; of a linked one nothing is written."""
    before = seen(stick)
    came = away.run("import", str(stick), "-y", *([way] if way else []))
    assert came.returncode == 0, came.stderr
    assert away.run("verify", "--all").returncode == 0
    assert all(row["key"] for row in rows(away).values())
    place = away.models / "acme/Eye-GGUF/Eye-Q4_K_M.gguf"
    assert place.is_symlink() is (way == "--symlink")
    source = stick / "acme/Eye-GGUF/Eye-Q4_K_M.gguf"
    assert source.exists() is (way != "--move")
    assert (source.exists() and place.samefile(source)) is (way in ("--hardlink", "--symlink"))
    gone = ROPE | EYE | MLX if way == "--move" else set()
    assert seen(stick) == {path: found for path, found in before.items() if path not in gone}


def test_a_dry_run_and_no_yes_write_nothing(away: Home, stick: Path) -> None:
    """Not even the models folder."""
    dry = away.run("import", str(stick), "--dry-run", "--json")
    assert dry.returncode == 0
    assert {row["path"]: row["imported"] for row in json.loads(dry.stdout)} == dict.fromkeys(ROPE | EYE | MLX)
    assert {row["way"] for row in json.loads(dry.stdout)} == {"copy"}
    assert len(away.run("import", str(stick), "--dry-run").stdout.splitlines()) == len(ROPE | EYE | MLX)
    assert away.run("import", str(stick)).returncode == 130
    assert not away.models.exists()
    assert away.run("import", str(stick), "-y", "--user-repo", "acme/Other").returncode == 2


@pytest.mark.parametrize("way", ["--copy", "--move", "--hardlink", "--symlink"])
def test_a_wrong_byte_keeps_its_model_out(away: Home, stick: Path, way: str) -> None:
    """All of it, with exit code 1 and words; the other models come in, and the folder is left as it is."""
    spoil(stick / "acme/Eye-GGUF/mmproj-Eye-F16.gguf")
    wrong = seen(stick / "acme/Eye-GGUF")
    came = away.run("import", str(stick), "-y", way)
    assert came.returncode == 1
    assert "mmproj-Eye-F16.gguf is not what the export says (chunks 0 of 16 MiB)" in came.stderr
    assert set(came.stdout.split()) == away.visible() == ROPE | MLX
    assert rows(away).keys() == {"acme/rope-8b", "rope-8b-mlx-4bit"}
    assert not list((away.models / ".windlass").rglob("incoming/*"))
    assert not (away.models / "acme/Eye-GGUF").exists()
    assert seen(stick / "acme/Eye-GGUF") == wrong


@pytest.mark.parametrize("change", ["missing", "cut"])
def test_what_is_missing_or_cut_off_keeps_its_model_out(away: Home, stick: Path, change: str) -> None:
    """As a wrong byte does."""
    path = stick / "acme/Eye-GGUF/Eye-Q4_K_M.gguf"
    if change == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    came = away.run("import", str(stick), "-y")
    assert came.returncode == 1
    assert "Eye-Q4_K_M.gguf" in came.stderr
    assert away.visible() == ROPE | MLX


def test_what_does_not_fit_is_refused_before_a_byte(away: Home, stick: Path) -> None:
    """With exit code 5; links need no room."""
    full = str(shutil.disk_usage(stick).total)
    came = away.run("import", str(stick), "-y", WINDLASS_MIN_FREE=full)
    assert (came.returncode, came.stdout) == (5, "")
    assert not away.models.exists()
    assert away.run("import", str(stick), "-y", "--hardlink", WINDLASS_MIN_FREE=full).returncode == 0


def test_what_stands_in_the_way_is_left(away: Home, stick: Path) -> None:
    """It may be the only copy of something; the other models come in."""
    place = away.models / "acme/Eye-GGUF/Eye-Q4_K_M.gguf"
    place.parent.mkdir(parents=True)
    place.write_bytes(gguf(MIB, 99))
    before = place.read_bytes()
    came = away.run("import", str(stick), "-y")
    assert came.returncode == 1
    assert "Something else stands" in came.stderr
    assert place.read_bytes() == before
    assert rows(away).keys() >= {"acme/rope-8b", "rope-8b-mlx-4bit"}


def test_a_damaged_model_does_not_go_out(home: Home, tmp_path: Path) -> None:
    """Exit code 1, a word of `windlass verify`, and no name in the folder for any of it; the other model goes."""
    for model in ("acme/Big-GGUF", "acme/Eye-GGUF"):
        assert home.run("get", model).returncode == 0
    spoil(home.models / "acme/Big-GGUF/Big-Q4_K_M-00003-of-00003.gguf")
    done = home.run("export", "big", "eye", "--to", str(tmp_path / "stick"))
    assert (done.returncode, done.stdout) == (1, "eye\n")
    assert "windlass verify big --repair" in done.stderr
    assert seen(tmp_path / "stick").keys() == EYE | {"windlass-export.json", "SHA256SUMS"}
    assert not (tmp_path / "stick/acme/Big-GGUF").exists()
    assert check(tmp_path / "stick").returncode == 0
    (home.models / "acme/Big-GGUF/Big-Q4_K_M-00003-of-00003.gguf").unlink()
    gone = home.run("export", "big", "--to", str(tmp_path / "stick"))
    assert gone.returncode == 1
    assert "windlass verify" in gone.stderr


def test_an_export_is_added_to(home: Home, away: Home, exported: Path) -> None:
    """What is there already is not copied again, and stays; what is new is in the sums, too."""
    assert home.run("get", "acme/Big-GGUF").returncode == 0
    before = seen(exported)
    done = home.run("export", "big", "eye", "--to", str(exported), "--json")
    copied = {row["key"]: row["bytes_copied"] for row in json.loads(done.stdout)}
    assert copied == {"big": 6 * MIB, "eye": 0}
    assert {path: found for path, found in seen(exported).items() if path in ROPE | EYE | MLX} == {
        path: found for path, found in before.items() if path in ROPE | EYE | MLX
    }
    assert check(exported).returncode == 0
    spoil(exported / "acme/Eye-GGUF/Eye-Q4_K_M.gguf")  # a copy gone wrong is made anew
    assert home.run("export", "eye", "--to", str(exported)).returncode == 0
    assert check(exported).returncode == 0
    assert away.run("import", str(exported), "-y").returncode == 0
    assert rows(away).keys() == {"acme/rope-8b", "big", "eye", "rope-8b-mlx-4bit"}


def test_hard_links_need_no_room(home: Home, tmp_path: Path) -> None:
    """On request, on one disk: the same file under a second name."""
    assert home.run("get", "acme/Big-GGUF").returncode == 0
    done = home.run("export", "big", "--to", str(tmp_path / "stick"), "--hard-link", "--json")
    (row,) = json.loads(done.stdout)
    assert row["bytes_copied"] == 0
    first = "acme/Big-GGUF/Big-Q4_K_M-00001-of-00003.gguf"
    assert first in row["files"]
    assert sha256(tmp_path / "stick" / first) == sha256(home.models / first)
    assert home.run("verify", "big").returncode == 0


def test_a_model_that_somebody_put_there_goes_too(home: Home, away: Home, tmp_path: Path) -> None:
    """Nobody knows its commit: it is hashed, and is there what it was here, to be listed and verified."""
    place = home.models / "somebody/Thing-GGUF/Thing-Q4_K_M.gguf"
    place.parent.mkdir(parents=True)
    place.write_bytes(gguf(2 * MIB, 70))
    assert home.run("export", "thing", "--to", str(tmp_path / "stick")).returncode == 0
    assert check(tmp_path / "stick").returncode == 0
    assert away.run("import", str(tmp_path / "stick"), "-y").returncode == 0
    assert {key: (row["size_bytes"]) for key, row in rows(away).items()} == {"thing": 2 * MIB}
    assert away.run("verify", "thing").returncode == 0
    assert receipt(away, "somebody/Thing-GGUF/Thing-Q4_K_M.gguf")["adopted"] is True
    again = away.run("import", str(tmp_path / "stick"), "-y", "--json")
    assert [row["imported"] for row in json.loads(again.stdout)] == [False]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("none", "--to", "stick"), 3, "none"),
        (("big",), 2, "--to"),
        (("--to", "stick"), 2, "MODELS"),
        (("big", "--to", "no/such/stick"), 1, "plugged in"),
        (("big", "--to", "lmstudio/models/out"), 2, "in the models folder"),
    ],
)
def test_what_cannot_be_exported(
    home: Home, tmp_path: Path, words: tuple[str, ...], code: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its code and words; nothing is written."""
    assert home.run("get", "acme/Big-GGUF").returncode == 0
    monkeypatch.chdir(tmp_path)
    done = home.run("export", *words)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert says.lower() in done.stderr.lower()
    assert not (tmp_path / "stick").exists()
    assert not (home.models / "out").exists()


@contextmanager
def served(home: Home, folder: Path) -> Iterator[str]:
    """`windlass hub` over the folder; its address."""
    command = [sys.executable, "-m", "windlass", "hub", str(folder)]
    with subprocess.Popen(
        command, env=home.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield next(word for word in process.stdout.readline().split() if word.startswith("http"))
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)


def test_an_export_is_a_hub(home: Home, tmp_path: Path, exported: Path) -> None:
    """`windlass hub` serves it as it is, to another Windlass by the catalog's name, and to the real `hf`."""
    with served(home, exported) as url:
        other = Home(tmp_path / "other", url)
        other.root.mkdir()
        with Server(other) as server:
            job = server.finished(server.download("acme/rope-8b", "q4_k_m")["job_id"])
            assert job["status"] == "completed", job
        assert other.files() == {path: (exported / path).read_bytes() for path in ROPE}
        assert seen(other.catalog).keys() == {"acme/rope-8b/model.yaml", "acme/rope-8b/manifest.json"}
        client = str(Path(sys.executable).with_name("hf"))
        target = tmp_path / "by-hf"
        command = [client, "download", "acme/Rope-8B-MLX-4bit", "--local-dir", str(target)]
        environment = {**home.environment, "HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1"}
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=PATIENCE)
        assert {path.name: path.read_bytes() for path in target.iterdir() if path.is_file()} == {
            Path(path).name: (exported / path).read_bytes() for path in MLX
        }
