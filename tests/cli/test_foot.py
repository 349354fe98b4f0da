"""Lines at the foot of a terminal: drawn in place, also after the window has changed its width."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from windlass.cli.foot import Foot


class Screen(io.StringIO):
    """A terminal's file, of which the last that was written can be asked for; `encoding` is what it knows."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def last(self) -> str:
        written = self.getvalue()
        self.seek(0)
        self.truncate()
        return written


def console(screen: Screen, width: int, height: int = 24) -> Console:
    return Console(file=screen, width=width, height=height, force_terminal=True, color_system=None)


@pytest.mark.parametrize(
    ("width", "rows"),
    [(100, 2), (120, 2), (99, 2), (60, 4), (50, 4), (49, 6), (34, 6), (33, 6), (32, 8), (5, 23)],
)
def test_it_goes_back_over_what_the_terminal_has_made_of_its_lines(width: int, rows: int) -> None:
    """Two lines of 99 columns; a narrower terminal has wrapped each into more. Above its top nothing can be reached."""
    screen = Screen()
    terminal = console(screen, 100)
    foot = Foot(terminal)
    foot.show([Text("a" * 200), Text("b" * 200)])
    assert screen.last() == "a" * 99 + "\n" + "b" * 99 + "\n"
    terminal.width = width
    foot.show([Text("c")])
    assert screen.last() == f"\x1b[{rows}A\r\x1b[Jc\n"


def test_it_is_never_higher_than_the_terminal() -> None:
    """What has scrolled away cannot be taken back."""
    screen = Screen()
    Foot(console(screen, 80, height=4)).show([Text(str(number)) for number in range(9)])
    assert screen.last() == "0\n1\n2\n"


def test_signs_that_the_terminal_does_not_know_are_replaced() -> None:
    """An encoding of the last century has no lines for a bar; nothing fails for that."""
    screen = Screen("iso8859-1")
    Foot(console(screen, 80)).show([Text("a…b ━━── 1 MB")])
    assert screen.last() == "a~b ==-- 1 MB\n"
