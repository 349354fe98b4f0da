"""`windlass config`: the settings in force."""

import json
import re
import sys
from dataclasses import fields
from typing import Any

from windlass.masking import mask
from windlass.settings import Settings

_SECRET = {"hf_token", "api_token", "webhooks", "webhook_secret"}


def show_settings(settings: Settings, *, as_json: bool) -> None:
    """One line a setting: its name, its value, where it came from. Secrets are shown as set or not."""
    rows = {field.name: _shown(settings, field.name) for field in fields(settings) if field.name != "origin"}
    if as_json:
        out = {name: {"value": value, "from": settings.origin[name]} for name, value in rows.items()}
        sys.stdout.write(json.dumps(out) + "\n")
        return
    for name, value in rows.items():
        sys.stdout.write(f"{name:14} {'-' if value is None else value}  ({settings.origin[name]})\n")


def _shown(settings: Settings, name: str) -> Any:
    value = getattr(settings, name)
    if name in _SECRET:
        return "set" if value else None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or None
    text = value if isinstance(value, int | None) else mask(str(value))
    # An address with a slash or an @ in its password, as no address may have them, is shown from its last @ on.
    return re.sub(r"//.*@", "//…@", text) if name == "database_url" and isinstance(text, str) else text
