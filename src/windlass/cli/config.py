"""`windlass config`: the settings in force."""

import json
import sys
from dataclasses import fields
from typing import Any

from windlass.masking import mask, without_password
from windlass.settings import Settings

_SECRET = {"hf_token", "api_token", "webhooks", "webhook_secret"}


def show_settings(settings: Settings, *, as_json: bool) -> None:
    """One line a setting: its name, its value, where it came from."""
    rows = settings_rows(settings)
    if as_json:
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    for name, row in rows.items():
        sys.stdout.write(f"{name:17} {'-' if row['value'] is None else row['value']}  ({row['from']})\n")


def settings_rows(settings: Settings) -> dict[str, dict[str, Any]]:
    """Each setting's `value`, and where it came `from`. Secrets are shown as set or not."""
    names = (field.name for field in fields(settings) if field.name != "origin")
    return {name: {"value": _shown(settings, name), "from": settings.origin[name]} for name in names}


def _shown(settings: Settings, name: str) -> Any:
    value = getattr(settings, name)
    if name in _SECRET:
        return "set" if value else None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or None
    text = value if isinstance(value, int | None) else mask(str(value))
    return without_password(text) if name == "database_url" and isinstance(text, str) else text
