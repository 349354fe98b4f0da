"""`windlass import`: what is on this machine comes into the models folder, in its place, and nothing else moves."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from e2e.conftest import MIB, gguf
from e2e.outside import Home
from standin import ALWAYS, Hub, faults

CONTENT = gguf(2 * MIB, 50)


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def listed(home: Home) -> list[str]:
    return [row["key"] for row in json.loads(home.run("ls", "--json").stdout)]


@pytest.mark.parametrize("way", ["--move", "-c", "-L", "--symlink", None])
def test_a_file_comes_in_each_way(home: Home, tmp_path: Path, way: str | None) -> None:
    """Moved unless told otherwise; it is a model then, found by its name, and verified."""
    source = put(tmp_path / "downloads" / "Thing-Q4_K_M.gguf")
    words = [str(source), "--user-repo", "acme/Thing-GGUF", "-y", *([way] if way else [])]
    done = home.run("import", *words)
    assert (done.returncode, done.stdout) == (0, "acme/Thing-GGUF/Thing-Q4_K_M.gguf\n"), done.stderr
    place = home.models / "acme" / "Thing-GGUF" / source.name
    assert place.read_bytes() == CONTENT
    assert source.exists() is (way not in (None, "--move"))
    assert place.is_symlink() is (way in ("--symlink", "-l"))
    assert (source.exists() and place.stat().st_ino == source.stat().st_ino and not place.is_symlink()) is (
        way in ("--hardlink", "-L")
    )
    assert listed(home) == ["thing"]
    assert home.run("verify", "thing").returncode == 0
    assert home.run("path", "acme/Thing-GGUF@q4_k_m").stdout.strip() == str(place)
    again = put(tmp_path / "downloads" / "Thing-Q4_K_M.gguf") if way in (None, "--move") else source
    assert home.run("import", str(again), "--user-repo", "acme/Thing-GGUF", "-y").returncode == 0
    assert again.exists()


def test_nothing_is_done_without_a_yes(home: Home, tmp_path: Path) -> None:
    """Nor in a dry run, which says what would be done."""
    source = put(tmp_path / "models" / "acme" / "Thing-GGUF" / "Thing-Q4_K_M.gguf")
    asked = home.run("import", str(source))
    assert (asked.returncode, asked.stdout) == (130, "")
    dry = home.run("import", str(source), "--dry-run", "--json")
    assert json.loads(dry.stdout) == [
        {"source": str(source), "path": "acme/Thing-GGUF/Thing-Q4_K_M.gguf", "way": "move", "imported": None}
    ]
    said = home.run("import", str(source), "--dry-run")
    assert (said.stdout, said.stderr) == (f"move {source} → acme/Thing-GGUF/Thing-Q4_K_M.gguf  2.10 MB\n", "")
    assert source.exists()
    assert not home.models.exists()


def test_what_is_here_already_is_said_and_nothing_asked(home: Home, tmp_path: Path) -> None:
    """The second time there is nothing to do, so nobody has to say yes to it; what is new beside it is asked about."""
    first = put(tmp_path / "Thing-GGUF" / "Thing-Q4_K_M.gguf")
    words = [str(first.parent), "--user-repo", "acme/Thing-GGUF", "--copy"]
    assert home.run("import", *words, "-y").returncode == 0
    place = "acme/Thing-GGUF/Thing-Q4_K_M.gguf"
    again = home.run("import", *words)
    assert (again.returncode, again.stdout, again.stderr) == (0, f"{place}\n", f"{place} is here already.\n")
    assert home.run("import", *words, "--dry-run").stdout == f"{place} is here already\n"
    assert [row["imported"] for row in json.loads(home.run("import", *words, "--dry-run", "--json").stdout)] == [False]
    put(first.with_name("Thing-Q8_0.gguf"), gguf(MIB, 52))
    more = home.run("import", *words)
    assert more.returncode == 130
    assert "Copy 1 file below" in more.stderr
    assert first.name not in more.stderr


def test_shards_come_together(home: Home, tmp_path: Path) -> None:
    """All of a set by any one of them; a set with a gap not at all."""
    names = [f"Big-Q4_K_M-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    for number, name in enumerate(names):
        put(tmp_path / "set" / name, gguf(MIB, number))
    done = home.run("import", str(tmp_path / "set" / names[1]), "--user-repo", "acme/Big-GGUF", "-y", "--copy")
    assert done.stdout.split() == [f"acme/Big-GGUF/{name}" for name in names]
    assert listed(home) == ["big"]
    (tmp_path / "set" / names[2]).unlink()
    gap = home.run("import", str(tmp_path / "set" / names[0]), "--user-repo", "acme/Gap-GGUF", "-y", "--copy")
    assert gap.returncode == 2
    assert "one of 3 shards" in gap.stderr


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all", CONTENT[:20]])
def test_what_is_no_model_is_refused(home: Home, tmp_path: Path, content: bytes) -> None:
    """In words, with exit code 2, and nothing is written or moved."""
    source = put(tmp_path / "downloads" / "x.gguf", content)
    done = home.run("import", str(source), "--user-repo", "acme/X-GGUF", "-y")
    assert (done.returncode, done.stdout) == (2, "")
    assert "damaged" in done.stderr
    assert "Traceback" not in done.stderr
    assert source.read_bytes() == content
    assert home.visible() == set()


@pytest.mark.parametrize(
    "words",
    [("x.txt",), (), ("x.gguf", "--from", "hf"), ("x.gguf", "-c", "-l"), ("x.gguf", "--user-repo", "../../etc")],
)
def test_what_cannot_be_meant_is_a_mistake_of_use(home: Home, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Exit code 2."""
    put(tmp_path / "x.gguf")
    put(tmp_path / "x.txt")
    done = home.run("import", *(str(tmp_path / word) if word.startswith("x.") else word for word in words), "-y")
    assert done.returncode == 2, done.stderr
    assert home.visible() == set()


def test_what_is_not_there_is_not_found(home: Home, tmp_path: Path) -> None:
    """Which is another mistake than to name a file that is no model."""
    done = home.run("import", str(tmp_path / "nope"), "-y")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", f"error: There is no {tmp_path}/nope.\n")


def test_something_else_in_its_place_is_left(home: Home, tmp_path: Path) -> None:
    """It may be the only copy of something."""
    place = put(home.models / "acme" / "Thing-GGUF" / "Thing-Q4_K_M.gguf", gguf(MIB, 9))
    source = put(tmp_path / "Thing-Q4_K_M.gguf")
    before = place.read_bytes()
    done = home.run("import", str(source), "--user-repo", "acme/Thing-GGUF", "-y")
    assert done.returncode == 1
    assert "Something else stands" in done.stderr
    assert (place.read_bytes(), source.exists()) == (before, True)


def seen(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_all_that_hf_has(acme: Hub, home: Home) -> None:
    """A cache that the real client made: its models come in under their repositories, and it is left as it is."""
    client = str(Path(sys.executable).with_name("hf"))
    environment = {**home.environment, "HF_ENDPOINT": acme.url, "HF_HUB_DISABLE_XET": "1"}
    for repository in ("acme/Rope-8B-GGUF", "acme/Rope-8B-MLX-4bit"):
        subprocess.run([client, "download", repository], env=environment, check=True, capture_output=True, timeout=60)
    before, asked = seen(home.root / "hf"), len(acme.exchanges)
    done = home.run("import", "--from", "hf", "-y")
    assert done.returncode == 0, done.stderr
    assert "acme/Rope-8B-GGUF/rope-8b-Q4_K_M.gguf" in done.stdout
    assert set(listed(home)) == {"rope-8b@q4_k_m", "rope-8b@q8_0", "rope-8b-mlx-4bit"}
    assert seen(home.root / "hf") == before
    assert len(acme.exchanges) == asked
    assert home.run("get", "acme/Rope-8B-GGUF@Q8_0").returncode == 0
    assert acme.sent("rope-8b-Q8_0.gguf") == 3 * MIB  # what the client itself had fetched


def test_all_that_ollama_has(home: Home, tmp_path: Path) -> None:
    """Its documented layout: a manifest by name and tag, layers that are blobs under their hashes."""
    models, eye = tmp_path / "ollama", gguf(MIB, 51)
    layers = []
    for kind, content in (("model", CONTENT), ("projector", eye), ("template", b"{{ .Prompt }}")):
        digest = hashlib.sha256(content).hexdigest()
        put(models / "blobs" / f"sha256-{digest}", content)
        name = f"application/vnd.ollama.image.{kind}"
        layers.append({"mediaType": name, "digest": f"sha256:{digest}", "size": len(content)})
    manifest = json.dumps({"schemaVersion": 2, "layers": layers}).encode()
    put(models / "manifests" / "registry.ollama.ai" / "library" / "llava" / "7b", manifest)
    put(models / "manifests" / "registry.ollama.ai" / "library" / "broken" / "latest", b"{")
    home.more["OLLAMA_MODELS"] = str(models)
    before = seen(models)
    done = home.run("import", "--from", "ollama", "-y", "--copy")
    assert done.returncode == 0, done.stderr
    assert home.files() == {
        "ollama/llava-GGUF/llava-7b.gguf": CONTENT,
        "ollama/llava-GGUF/mmproj-llava-7b.gguf": eye,
    }
    assert seen(models) == before
    assert home.run("import", "--from", "ollama", "--move", "-y").returncode == 2
    assert home.run("import", "--from", "nothing", "-y").returncode == 2


def test_a_blob_that_is_not_what_its_name_says_stays_out(acme: Hub, home: Home) -> None:
    """Of Hugging Face's cache, whose client never looks at what it has: the others come in all the same."""
    snapshot = home.root / "hf" / "hub" / "models--acme--Rope-8B-GGUF" / "snapshots" / ("a" * 40)
    for name, was, held in (("A-Q4_K_M.gguf", CONTENT, CONTENT), ("A-Q8_0.gguf", CONTENT[:-1], CONTENT[:-2] + b"!")):
        blob = put(snapshot.parents[1] / "blobs" / hashlib.sha256(was).hexdigest(), held)
        snapshot.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(Path("../../blobs") / blob.name)
    put(snapshot.parents[1] / "refs" / "main", b"a" * 40)
    done = home.run("import", "--from", "hf", "-y")
    assert (done.returncode, done.stdout) == (1, "acme/Rope-8B-GGUF/A-Q4_K_M.gguf\n")
    assert "A-Q8_0.gguf is damaged" in done.stderr
    assert home.files() == {"acme/Rope-8B-GGUF/A-Q4_K_M.gguf": CONTENT}


@pytest.mark.parametrize("program", ["lmstudio", "jan"])
def test_all_that_others_have(home: Home, tmp_path: Path, program: str) -> None:
    """Their folders are owner/repository as well."""
    home.more["WINDLASS_MODELS_DIR"] = str(tmp_path / "mine")
    home.more["HOME"] = str(tmp_path)
    folder = home.models if program == "lmstudio" else tmp_path / "jan" / "models"
    put(folder / "acme" / "Thing-GGUF" / "Thing-Q4_K_M.gguf")
    put(folder / "acme" / "notes of mine" / "x.txt")  # no model, which is nothing to speak of
    done = home.run("import", "--from", program, "-y")
    assert done.stdout.split() == ["acme/Thing-GGUF/Thing-Q4_K_M.gguf"], done.stderr
    assert (done.returncode, "notes" in done.stderr) == (0, False)
    place = tmp_path / "mine" / "acme" / "Thing-GGUF" / "Thing-Q4_K_M.gguf"
    assert place.samefile(folder / "acme" / "Thing-GGUF" / "Thing-Q4_K_M.gguf")


ROPE = "acme/Rope-8B-GGUF/rope-8b-Q4_K_M.gguf"


def rope(acme: Hub) -> bytes:
    content = acme.repositories["acme/rope-8b-gguf"].file("rope-8b-Q4_K_M.gguf").content
    return content.read(0, content.size)


@pytest.mark.parametrize("way", ["--move", "--copy", "--symlink"])
def test_a_file_that_the_hub_lists_is_recognized(acme: Hub, home: Home, tmp_path: Path, way: str) -> None:
    """By its hash, whatever it is called here: it gets the hub's name, commit and digest, and nothing is fetched."""
    source = put(tmp_path / "downloads" / "model (1).gguf", rope(acme))
    done = home.run("import", str(source), "--user-repo", "acme/rope-8b-gguf", "-y", way)
    assert (done.returncode, done.stdout) == (0, f"{ROPE}\n"), done.stderr
    receipt = json.loads((home.models / ".windlass" / "receipts" / f"{ROPE}.json").read_text())
    assert receipt["commit"] == acme.repositories["acme/rope-8b-gguf"].refs["main"]
    assert (receipt["repo"], receipt["path"]) == tuple(ROPE.rsplit("/", 1))
    assert receipt["digest"] == {"algorithm": "sha256", "hex": hashlib.sha256(rope(acme)).hexdigest()}
    assert receipt["adopted"] is True
    assert home.run("verify", "rope-8b").returncode == 0
    assert home.run("get", "acme/Rope-8B-GGUF@q4_k_m").stdout == f"{home.models / ROPE}\n"
    assert acme.asked("cdn") == []
    again = put(source, rope(acme))
    assert home.run("import", str(again), "--user-repo", "acme/Rope-8B-GGUF", "-y", way).returncode == 0


def test_a_folder_is_recognized_file_by_file(acme: Hub, home: Home, tmp_path: Path) -> None:
    """Those too that the hub knows by git's hash; told by the folder alone which repository it is."""
    folder = tmp_path / "models" / "acme" / "Rope-8B-MLX-4bit"
    repository = acme.repositories["acme/rope-8b-mlx-4bit"]
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        content = repository.file(name).content
        put(folder / name, content.read(0, content.size))
    done = home.run("import", str(folder), "-y")
    assert done.returncode == 0, done.stderr
    receipts = list((home.models / ".windlass" / "receipts").rglob("*.json"))
    kept = [json.loads(path.read_text()) for path in receipts]
    assert {receipt["commit"] for receipt in kept} == {repository.refs["main"]}
    assert {receipt["digest"]["algorithm"] for receipt in kept} == {"sha256", "git-sha1"}
    assert home.run("get", "acme/Rope-8B-MLX-4bit").returncode == 0
    assert (acme.asked("cdn"), acme.asked("small", "tokenizer.json")) == ([], [])


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", None])
def test_what_no_listing_has_comes_in_as_it_is(acme: Hub, home: Home, tmp_path: Path, endpoint: str | None) -> None:
    """Offline, or another version: under its own name, without a word about the hub, and with no commit."""
    content = rope(acme) if endpoint else rope(acme)[:-1] + b"?"
    source = put(tmp_path / "other-Q4_K_M.gguf", content)
    more = {"WINDLASS_HF_ENDPOINT": endpoint} if endpoint else {}
    done = home.run("import", str(source), "--user-repo", "acme/Rope-8B-GGUF", "-y", **more)
    assert (done.returncode, done.stdout) == (0, f"acme/Rope-8B-GGUF/{source.name}\n"), done.stderr
    assert "127.0.0.1" not in done.stderr
    receipt = next((home.models / ".windlass" / "receipts").rglob("*.json"))
    assert json.loads(receipt.read_text())["commit"] == ""


def test_nobody_is_asked_where_nobody_says_whose_it_is(acme: Hub, home: Home, tmp_path: Path) -> None:
    """A file without a repository stays a matter of this machine."""
    put(tmp_path / "Thing-Q4_K_M.gguf")
    assert home.run("import", str(tmp_path / "Thing-Q4_K_M.gguf"), "-y").returncode == 0
    assert home.visible() == {"imported-models/Thing-Q4_K_M/Thing-Q4_K_M.gguf"}
    assert acme.exchanges == []


def test_a_hub_that_says_nothing_holds_nobody_up(acme: Hub, home: Home, tmp_path: Path) -> None:
    """A few seconds at most, and the import is done."""
    acme.misbehave("info", faults.silence(), times=ALWAYS)
    source = put(tmp_path / "Thing-Q4_K_M.gguf")
    begun = time.monotonic()
    assert home.run("import", str(source), "--user-repo", "acme/Rope-8B-GGUF", "-y").returncode == 0
    assert time.monotonic() - begun < 10
    assert len(acme.asked("info")) == 1
