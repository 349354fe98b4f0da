"""`windlass config`: the settings in force."""

import json
import re
import sys
from dataclasses import fields
from typing import Any

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
    return value if isinstance(value, int | None) else re.sub(r"(//[^/@:]*:)[^/@]*@", r"\1…@", str(value))
