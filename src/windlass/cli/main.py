"""The command `windlass`: its verbs, each a few lines that parse and call. Heavy imports wait for the verb."""

import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from windlass import __version__
from windlass.cli import collector, completion, exits, jobs, shelf, stdout
from windlass.cli.options import Json, Model, Quantization, To, Yes, console, folder_of, settings
from windlass.cli.parsing import Verb, Verbs
from windlass.errors import WindlassError
from windlass.logs import speak_plainly
from windlass.settings import load

MODELS, JOBS, SERVER, MACHINE = "Models", "Jobs", "Server", "This machine"  # as `--help` groups the verbs

app = typer.Typer(
    name="windlass",
    cls=Verbs,
    help="Bring models in: resumable, verified, behind the REST API that LM Studio's clients speak.",
    no_args_is_help=True,
    add_completion=False,  # `windlass completion` instead
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

token = typer.Typer(
    cls=Verbs, help="Make, list and revoke tokens, which the server then asks for.", no_args_is_help=True
)
app.add_typer(token, name="token", rich_help_panel=SERVER)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        sys.stdout.write(f"windlass {__version__}\n")
        raise typer.Exit


@app.command(cls=Verb, rich_help_panel=SERVER)
def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen at.")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes any free one.")] = None,
    models_dir: Annotated[Path | None, typer.Option(help="Where weights go.")] = None,
    max_jobs: Annotated[int | None, typer.Option(help="Jobs that transfer at once.")] = None,
    connections: Annotated[int | None, typer.Option(help="Most connections one file may use.")] = None,
    limit_rate: Annotated[str | None, typer.Option(help="Bytes per second over all jobs: 20M, 1.5G.")] = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="One more name that it answers to: models.lan")] = None,
    cors: Annotated[list[str] | None, typer.Option(help="A page's origin that may use it: https://my.site")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Let others in without a token.")] = False,
    log_format: Annotated[
        str | None,
        typer.Option(help="What it does, on stderr: text or json.", autocompletion=completion.one_of("text", "json")),
    ] = None,
) -> None:
    """Run the server until SIGINT or SIGTERM.

    Example: windlass serve --port 1234
    """
    flags = {"host": host, "port": port, "models_dir": models_dir, "log_format": log_format}
    flags["allow_host"] = " ".join(allow_host) if allow_host else None
    with suppress(KeyboardInterrupt):  # who asks it to end before it is ready has what they asked for, too
        from windlass.cli.serve import serve as run

        told = load({**flags, "max_jobs": max_jobs, "connections": connections, "limit_rate": limit_rate})
        run(told, cors or (), insecure=insecure)


@app.command(cls=Verb, rich_help_panel=MODELS)
def get(
    model: Model,
    quantization: Quantization = None,
    gguf: Annotated[bool, typer.Option("--gguf", help="Only a GGUF.")] = False,
    mlx: Annotated[bool, typer.Option("--mlx", help="Only MLX.")] = False,
    to: To = None,
    yes: Yes = False,
    as_json: Json = False,
    detach: Annotated[bool, typer.Option("--detach", help="Let the server go on alone; print the job's id.")] = False,
) -> None:
    """Bring a model in and print where it stands.

    Example: windlass get qwen/qwen3-4b-2507@q4_k_m
    """
    from windlass.cli.get import get as run

    wish = model, quantization, _format(gguf=gguf, mlx=mlx), folder_of(to)
    raise typer.Exit(run(settings(), console(), wish, as_json=as_json, detach=detach))


@app.command(cls=Verb, rich_help_panel=MODELS)
def plan(
    model: Model,
    quantization: Quantization = None,
    gguf: Annotated[bool, typer.Option("--gguf", help="Only a GGUF.")] = False,
    mlx: Annotated[bool, typer.Option("--mlx", help="Only MLX.")] = False,
    to: To = None,
    as_json: Json = False,
) -> None:
    """Show what `get` would bring in, from where and why, and what else there is to choose from.

    Example: windlass plan qwen/qwen3-4b-2507
    """
    from windlass.cli.backend import backend
    from windlass.cli.plan import show_plan

    with backend(settings()) as behind:
        wish = model, quantization, _format(gguf=gguf, mlx=mlx), folder_of(to)
        show_plan(behind.plan(*wish), as_json=as_json)


@app.command(cls=Verb, rich_help_panel=MODELS)
def search(
    words: Annotated[list[str] | None, typer.Argument(help="What the name or the description has.")] = None,
    gguf: Annotated[bool, typer.Option("--gguf", help="Only GGUF.")] = False,
    mlx: Annotated[bool, typer.Option("--mlx", help="Only MLX.")] = False,
    limit: Annotated[int, typer.Option("-n", "--limit", help="Most models to show.", min=1, max=1000)] = 20,
    pick: Annotated[bool, typer.Option("-p", "--pick", help="Ask which one, and bring it in.")] = False,
    as_json: Json = False,
) -> None:
    """Look for models: the catalog's picks, then Hugging Face's, the most downloaded first.

    Example: windlass search qwen3 coder --gguf --pick
    """
    from windlass.cli.search import search as run

    if pick and as_json:
        raise typer.BadParameter("--pick asks a person, and --json is for programs")
    wish = " ".join(words or ()), _format(gguf=gguf, mlx=mlx)
    raise typer.Exit(run(settings(), console(), wish, limit, pick=pick, as_json=as_json))


groups: tuple[tuple[str, dict[str, Any]], ...] = ((MODELS, shelf.VERBS), (JOBS, jobs.VERBS))
for panel, verbs in groups:
    for name, verb in verbs.items():
        app.command(name, cls=Verb, rich_help_panel=panel)(verb)


@token.command("create", cls=Verb)
def create_token(
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="read, download or admin; all without it.",
            autocompletion=completion.one_of("read", "download", "admin"),
        ),
    ] = None,
) -> None:
    """Make a token and print it, once. From now on the server asks everybody for one.

    Example: windlass token create --name laptop --scope read --scope download
    """
    sys.stdout.write(f"{_tokens().create(name, scope or ())}\n")


@token.command("list", cls=Verb)
def list_tokens(as_json: Json = False) -> None:
    """List the tokens by name; the tokens themselves are known to nobody.

    Example: windlass token list --json
    """
    from windlass.cli.tables import show_tokens

    show_tokens(_tokens().all(), as_json=as_json)


@token.command("revoke", cls=Verb)
def revoke_token(
    name: Annotated[
        str, typer.Argument(help="As `windlass token list` shows it.", autocompletion=completion.token_names)
    ],
) -> None:
    """Have a token count for nothing from now on.

    Example: windlass token revoke laptop
    """
    _tokens().revoke(name)


@app.command(cls=Verb, rich_help_panel=SERVER)
def hub(
    folder: Annotated[Path, typer.Argument(help="Holds owner/repo/files, and catalog/owner/name/model.yaml.")],
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes any free one.")] = 0,
) -> None:
    """Serve a folder as Hugging Face and LM Studio Hub do: what this machine has, others can fetch.

    Example: windlass hub ~/.lmstudio/models --host 0.0.0.0 --port 8080
    """
    from windlass.share.serve import serve_folder

    collector.carry_on()
    serve_folder(folder, host, port)


@app.command(cls=Verb, rich_help_panel=MACHINE)
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running, and print its address.")] = False,
) -> None:
    """Show the main job, from a name to a verified model, in a temporary folder and without the internet.

    Example: windlass demo --keep
    """
    from windlass.cli.demo import demo as run

    run(console(), keep=keep)


@app.command(cls=Verb, rich_help_panel=MACHINE)
def config(as_json: Json = False) -> None:
    """Print the settings in force, and where each came from.

    Example: windlass config --json
    """
    from windlass.cli.config import show_settings

    show_settings(settings(), as_json=as_json)


@app.command(cls=Verb, rich_help_panel=MACHINE)
def doctor(as_json: Json = False) -> None:
    """Look at all that a download needs, settings, network, access, disk, and advise on what is wrong.

    Example: windlass doctor
    """
    from windlass.cli.doctor import doctor as run

    raise typer.Exit(run(settings(), as_json=as_json))


@app.command("completion", cls=Verb, rich_help_panel=MACHINE)
def print_completion(
    shell: Annotated[
        str | None,
        typer.Argument(
            help="bash, zsh or fish; without, the one you log in with.",
            autocompletion=completion.one_of(*completion.SHELLS),
        ),
    ] = None,
) -> None:
    """Print what has a shell complete verbs, options, models and jobs when Tab is pressed.

    Example: eval "$(windlass completion bash)"
    """
    completion.show_script(shell)


def _format(*, gguf: bool, mlx: bool) -> str | None:
    if gguf and mlx:
        raise typer.BadParameter("--gguf and --mlx exclude each other")
    return "gguf" if gguf else "mlx" if mlx else None


def _tokens() -> Any:
    from windlass.tokens import Tokens

    return Tokens(settings().home)


def main() -> None:
    """Run the command; errors become two lines on stderr and an exit code, never a traceback."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end is asked to end: as Ctrl-C
    stdout.watch()
    with collector.held_off():
        code = _to_its_end()
    sys.exit(code)


def _to_its_end() -> int:
    """With all that was printed written; the code that a failure of that has comes before the command's own."""
    try:
        code = _run()
        sys.stdout.flush()
    except stdout.ReaderGone:  # it has what it wanted: `| head` is no failure, however soon it goes
        return exits.DONE
    except stdout.Unwritable as error:
        _say(str(error), None)
        return exits.FAILED
    return code


def _run() -> int:
    speak_plainly()
    if completion.is_asked():
        completion.know_the_form()
    try:
        code = app(prog_name="windlass", standalone_mode=False)
    except WindlassError as error:
        _say(error.message, exits.hint_of(error))
        code = exits.exit_code(error)
    except typer.Abort:
        code = exits.INTERRUPTED
    except KeyboardInterrupt:
        code = exits.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone; the interpreter would complain once more
        code = exits.FAILED
    except (stdout.ReaderGone, stdout.Unwritable):
        raise
    except Exception as error:
        code = _usage_error(error)
    return int(code or exits.DONE)


def _usage_error(error: Exception) -> int:
    """The parser's own errors print themselves; anything else is a bug and keeps its traceback."""
    show = getattr(error, "show", None)
    if show is None:
        raise error
    show()
    return exits.USAGE


def _say(message: str, hint: str | None) -> None:
    from windlass.words import hanging

    width = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
    sys.stderr.write(hanging("error: ", message, width) + "\n")
    if hint:
        sys.stderr.write(hanging("       ", hint, width) + "\n")
