"""What is offered when Tab is pressed, in the real shells."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from standin import ALWAYS, Hub, faults
from windlass.cli import completion
from windlass.errors import InvalidRequest
from windlass.service import Service
from windlass.settings import load

REPO = "unsloth/Qwen3-8B-GGUF"

# Each prints, a line each, what its shell offers after a line that is handed in as the first argument.
ASK = {
    "bash": """
        eval "$(windlass completion bash)"
        COMP_LINE=$1 COMP_POINT=${#1}
        _windlass
        printf '%s\\n' "${COMPREPLY[@]}"
    """,
    "zsh": """
        _describe() { print -rl -- ${offers%%:*} }
        _files() { print files }
        compdef() { }
        eval "$(windlass completion zsh)"
        words=(${(z)1}) CURRENT=$#words
        [[ $1 == *' ' ]] && words+=('') CURRENT=$(( CURRENT + 1 ))
        _windlass
    """,
    "fish": """
        windlass completion fish | source
        complete -C $argv[1] | string replace -r '\\t.*' ''; or true
    """,
}


@pytest.fixture
def machine(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a model, a paused job, and `windlass` on the path."""
    hub.add(REPO, {"Qwen3-8B-Q4_K_M.gguf": b"GGUF" + b"4" * 50_000, "Qwen3-8B-Q8_0.gguf": b"GGUF" + b"8" * 900})
    for name in [name for name in os.environ if name.startswith("WINDLASS")]:
        monkeypatch.delenv(name)
    for name, value in {
        "WINDLASS_HOME": str(tmp_path / "home"),
        "WINDLASS_LMSTUDIO_HOME": str(tmp_path / "lmstudio"),
        "WINDLASS_HF_ENDPOINT": hub.url,
        "WINDLASS_CATALOG_URL": hub.url,
        "WINDLASS_MIN_FREE": "0",
        "WINDLASS_URL": "http://127.0.0.1:9",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def brought_in(hub: Hub) -> str:
    """Q8_0 is here, Q4_K_M is paused: its job."""
    with Service(load()) as service:
        service.runner.start()
        service.download(REPO, "Q8_0")
        while not service.models():
            service.runner.ended.wait(10)
        hub.misbehave("cdn", faults.stall(after=0), times=ALWAYS)
        view, _ = service.download(REPO, "Q4_K_M")
        service.pause(view.job.id)
        return view.job.id


@pytest.mark.parametrize("shell", ASK)
def test_a_shell_offers_verbs_models_and_jobs(shell: str, machine: Path, hub: Hub) -> None:
    """The rest of a verb, the models that are here, the jobs that are not over; each is what can stand there."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    job = brought_in(hub)

    def offered(line: str) -> list[str]:
        command = [shell, "--no-config" if shell == "fish" else "--norc" if shell == "bash" else "-f", "-c", ASK[shell]]
        arguments = [line] if shell == "fish" else [shell, line]
        ended = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=True)
        assert ended.stderr == ""
        return ended.stdout.split()

    assert offered("windlass res") == ["resume"]
    assert offered("windlass path ") == ["qwen3-8b"]
    assert offered("windlass attach ") == [job]
    # bash puts in place what follows its last parting sign, and an @ itself
    assert offered("windlass get unsloth/Qwen3-8B-GGUF@q4") == ["@q4_K_M" if shell == "bash" else f"{REPO}@q4_K_M"]
    assert offered("windlass import --from o") == ["ollama"]
    # where a verb takes a file, and nothing of ours fits, the shell's own files are offered
    (machine / "afile.gguf").touch()
    file = f"{machine}/afile.gguf"
    assert offered(f"windlass import {file[:-5]}") == {"bash": [], "zsh": ["files"], "fish": [file]}[shell]


HOSTILE = ("a;touch PWNED", "b$(touch PWNED)", "c*", "d e", "e'\"f", "g\\h")


def test_a_name_is_no_command(tmp_path: Path) -> None:
    """What a folder is called bash puts on the line quoted: signs that mean something to a shell mean nothing there."""
    (tmp_path / "windlass").write_text("#!/bin/sh\n" + "".join(f"cat <<'E'\n{name}\tx\nE\n" for name in HOSTILE))
    (tmp_path / "windlass").chmod(0o755)
    script = (
        completion.script_for("bash")
        + """
        COMP_LINE='windlass path ' COMP_POINT=14
        _windlass
        for offer in "${COMPREPLY[@]}"; do eval "printf '%s\\0' $offer"; done
    """
    )
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split("\0")[:-1] == [*HOSTILE]
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize(
    "offers", [completion.job_ids, completion.model_names, completion.names_to_get, completion.token_names]
)
def test_to_press_tab_writes_nothing(offers: Callable[[str], completion.Offers], machine: Path) -> None:
    """Where there is nothing yet, nothing is offered, and nothing is there afterwards; trouble is kept to itself."""
    assert offers("") == []
    assert [*machine.iterdir()] == []
    (machine / "home").mkdir()
    (machine / "home" / "windlass.db").write_bytes(b"torn " * 2000)
    assert offers("") == []
    assert [path.name for path in (machine / "home").iterdir()] == ["windlass.db"]
    (machine / "home" / "config.toml").write_text("no = toml = at all")
    assert offers("") == []


@pytest.mark.usefixtures("machine")
def test_tokens_are_offered_by_name() -> None:
    """With their scopes; the tokens themselves nobody has."""
    with Service(load()) as service:
        service.tokens.create("laptop", ("read", "download"))
    assert completion.token_names("la") == [("laptop", "read download")]
    assert completion.token_names("x") == []


def test_the_login_shell_is_taken_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name alone; for one that is not known it is said which are."""
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    assert completion.script_for(None) == completion.script_for("zsh")
    with pytest.raises(InvalidRequest, match="bash, zsh, fish"):
        completion.script_for("tcsh")
