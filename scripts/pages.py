"""Writes every page that is made from the code, or has a part that is: `python -m scripts.pages`."""

from collections.abc import Callable, Mapping
from pathlib import Path

from scripts import client_page, command_page, contents_page, error_page, rest_page, settings_page, state_diagram

WRITTEN: Mapping[Path, Callable[[], str]] = {
    client_page.PAGE: client_page.render,
    command_page.PAGE: command_page.render,
    contents_page.PAGE: contents_page.render,
    error_page.PAGE: error_page.render,
    rest_page.PAGE: rest_page.render,
    settings_page.PAGE: settings_page.render,
    state_diagram.PAGE: lambda: state_diagram.written(state_diagram.PAGE.read_text(encoding="utf-8")),
}
"""Pages, and what makes the whole text of each."""

if __name__ == "__main__":
    for path, render in WRITTEN.items():
        path.write_text(render(), encoding="utf-8")
