"""Writes docs/settings.md: variables, meanings and defaults from `windlass.settings`, flags from `windlass serve`."""

import inspect
from dataclasses import fields
from pathlib import Path

from windlass.cli.main import serve
from windlass.settings import NOT_IN_FILE, TABLE, Settings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

_HEAD = """\
<!-- Made by `make docs` from src/windlass/settings.py: change the words there. -->

# Settings

A flag wins over the environment, which wins over `config.toml` in `WINDLASS_HOME`, which wins over the default.
`windlass config` shows what is in force and where each value came from:

```sh
WINDLASS_MAX_JOBS=5 windlass config
```

```text
…
max_jobs       5  (WINDLASS_MAX_JOBS)
…
```

Nothing has to be set. A value that cannot be read ends the command with exit code 2, and the message names the setting
and where the value came from. A variable that is empty counts as not set.

## All of them

By the environment variable; where there are two, the first wins. Under each: its name in `config.toml`, its flag of
`windlass serve`, what holds where nobody sets it.
"""

_TAIL = """\
## config.toml

One line a setting, by the name that stands under it. Text goes into quotes, numbers do not need them. Secrets and what
belongs to other programs too have no name there; a name that is no setting is refused.

```toml
models_dir = "~/models"
more_models_dirs = "/mnt/disk2/models:/mnt/disk3/models"
max_jobs = 2
limit_rate = "20M"
min_free = "50G"
```

A running server does not read it again: restart it. Limits can be changed without a restart ([limits](limits.md)).

## Variables of other programs

| variable | what Windlass does with it |
| --- | --- |
| `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` | the way to the hub and the catalog ([proxies](proxy.md)) |
| `HF_HOME`, `HF_HUB_CACHE`, `OLLAMA_MODELS`, `XDG_CACHE_HOME` | where the caches of Hugging Face and Ollama are |
| `NO_COLOR` | set to anything, no colours are printed |
"""


def render() -> str:
    """The whole page, in Markdown."""
    return "\n".join([_HEAD, *map(_section, TABLE), _TAIL])


def _section(name: str) -> str:
    known = TABLE[name]
    flag = name in inspect.signature(serve).parameters
    facts = [
        *([] if name in NOT_IN_FILE else [f"`{name}`"]),
        *([f"`--{name.replace('_', '-')}`"] if flag else []),
        f"default: {known.unset or _default(name)}",
    ]
    return f"### {', '.join(known.variables)}\n\n{known.meaning}\n\n{' · '.join(facts)}\n"


def _default(name: str) -> str:
    """What `Settings` itself says, as it is written in the environment."""
    (value,) = (field.default for field in fields(Settings) if field.name == name)
    if value in (None, "", ()):
        return "none"
    return f"`{'yes' if value is True else value}`"
