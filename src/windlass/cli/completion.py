"""What a shell offers when Tab is pressed: verbs and options from the parser, models and jobs from what is here.

Not as Typer installs it: its bash parts words at `@`, and so takes `owner/name@q4` for two; and it writes into people's
shell settings by itself. Here a script is printed, which its owner tells the shell to read (`shells/`). What Typer does
is to answer it, in the one of its forms that has all: a line for each offer, with a tab before the word on it.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from windlass.errors import InvalidRequest, WindlassError
from windlass.settings import load

Offers = list[tuple[str, str]]
"""What may stand there, each with a word on it."""

SHELLS = ("bash", "zsh", "fish")


def is_asked() -> bool:
    """Whether a shell wants to know what to offer, and not a person to have something done."""
    return "_WINDLASS_COMPLETE" in os.environ


def script_for(shell: str | None) -> str:
    """What the shell is to read; without a name the one that the user logs in with.

    Raises:
        InvalidRequest: there is none for this shell.
    """
    name = Path(shell or os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        known = ", ".join(SHELLS)
        raise InvalidRequest(f"There is no completion for {name or 'this shell'!r}.", hint=f"There is one for {known}.")
    return (Path(__file__).parent / "shells" / f"completion.{name}").read_text(encoding="utf-8")


def job_ids(incomplete: str) -> Offers:
    """The jobs that can still be watched, paused, resumed or cancelled."""
    return _beginning(incomplete, _jobs)


def model_names(incomplete: str) -> Offers:
    """The models that are here."""
    return _beginning(incomplete, _models)


def names_to_get(incomplete: str) -> Offers:
    """What is on its way, or stopped on it; models that are nowhere yet nobody can know without asking a hub."""
    return _beginning(incomplete, _wanted)


def one_of(*values: str) -> Callable[[str], list[str]]:
    """What offers these."""
    return lambda incomplete: [value for value in values if value.startswith(incomplete)]


def token_names(incomplete: str) -> Offers:
    """The tokens that there are."""
    return _beginning(incomplete, _tokens)


def _beginning(incomplete: str, offers: Callable[[], Iterator[tuple[str, str]]]) -> Offers:
    """Those that begin so, without regard to case, as names are matched. Trouble is not told into a half-typed line.

    What is typed stays as it is: a shell takes no offer that begins otherwise.
    """
    found: Offers = []
    with suppress(WindlassError, OSError):
        for offer, about in offers():
            if offer.casefold().startswith(incomplete.casefold()):
                found.append((incomplete + offer[len(incomplete) :], about))
    return found


def _jobs() -> Iterator[tuple[str, str]]:
    for job_id, model, _, status in _unfinished():
        yield job_id, f"{model}, {status}"


def _wanted() -> Iterator[tuple[str, str]]:
    for _, model, quantization, status in _unfinished():
        yield f"{model}@{quantization}" if quantization else model, status


def _unfinished() -> Iterator[tuple[str, str, str | None, str]]:
    """Id, model, quantization and status of jobs: the server's, else those on this state, which are only read."""
    from windlass.cli.backend import server_at
    from windlass.client.client import Client
    from windlass.service import Service

    told = load()
    if url := server_at(told):
        with Client(url, told.api_token) as client:
            lists = client.jobs()
        for job in (one for status in ("downloading", "paused", "failed") for one in lists[status]):
            model = job["items"][-1]
            yield job["job_id"], model["id"], model.get("quantization", {}).get("name"), job["status"]
        return
    with Service(told) as service:
        for found in service.unfinished():
            yield found.id, found.manifest.id, found.manifest.quantization, found.status


def _models() -> Iterator[tuple[str, str]]:
    from windlass import words
    from windlass.service import Service

    with Service(load()) as service:
        for model in service.models():
            yield model.key, words.size(model.size_bytes)


def _tokens() -> Iterator[tuple[str, str]]:
    from windlass.tokens import Tokens

    for token in Tokens(load().home).all():
        yield token.name, " ".join(token.scopes)


def know_the_form() -> None:
    """Let Typer's parser know the form that the scripts ask in."""
    from typer.completion import completion_init  # type: ignore[attr-defined] # Typer's own apps find it there too

    completion_init()


def show_script(shell: str | None) -> None:
    """Print what the shell is to read."""
    sys.stdout.write(script_for(shell))
