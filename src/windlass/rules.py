"""The limits that were set while Windlass ran, kept for the next time.

They hold over what `config.toml` and the defaults say. A flag or the environment holds over them: whoever starts the
program with a limit wants that one.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from windlass import atomic
from windlass.errors import InvalidRequest, StateFailure
from windlass.library.disk import storage_errors
from windlass.limits import Limits, limits_body, read_limits
from windlass.settings import Settings

_HINT = "Mend the file, or remove it: then the settings hold."
_NAMES = ("max_jobs", "connections", "limit_rate")


class Rules:
    """The limits of a state: what the settings say, and what was kept since."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def read(self) -> Limits:
        """The limits to begin with.

        Raises:
            StateFailure: what was kept cannot be read.
        """
        told = Limits(*(getattr(self._settings, name) for name in _NAMES))
        kept = {name: value for name, value in self._kept().items() if not self._was_told(name)}
        try:
            return read_limits(kept, told)
        except InvalidRequest as error:
            raise StateFailure(f"{self._path} cannot be read: {error}.", hint=_HINT) from error

    def keep(self, limits: Limits, names: Collection[str]) -> None:
        """Have those of these names be there at the next start; what was never set stays for the settings to say.

        Raises:
            StateFailure: what was kept before cannot be read.
            StorageFailure: the disk refuses.
        """
        body = limits_body(limits)
        kept = self._kept() | {name: body[name] for name in names}
        with storage_errors("keeping the limits", self._settings.home):
            self._settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            atomic.write(self._path, json.dumps(kept, indent=2) + "\n")

    def _kept(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise StateFailure(f"{self._path} cannot be read: {error}.", hint=_HINT) from error

    def _was_told(self, name: str) -> bool:
        origin = self._settings.origin.get(name, "default")
        return origin not in {"default", str(self._settings.home / "config.toml")}

    @property
    def _path(self) -> Path:
        return self._settings.home / "limits.json"
