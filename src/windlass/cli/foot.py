"""Lines that stay at the foot of a terminal and are drawn anew in place.

Not Rich's own live display: it remembers how many rows it drew, and where a window is made narrower those rows wrap
into more. What it then takes back is too little, and a piece of each old frame stays on the screen.
"""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

_PLAIN = str.maketrans("━─…", "=-~")  # for a terminal that knows no others


class Foot:
    """The lines that stand there now, and the way back over them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lengths: list[int] = []

    def show(self, lines: Sequence[Text]) -> None:
        """Put these in place of those before; what is wider than the terminal is cut off, and so is what is higher."""
        width = max(1, self._console.width - 1)  # in the last column some terminals wrap, and some do not
        fitting = lines[: max(1, self._console.height - 1)]
        with self._console.capture() as drawn:
            for line in fitting:
                line.truncate(width)
                self._console.print(line, no_wrap=True, soft_wrap=True)
        self._write(self._back() + drawn.get())
        self._lengths = [line.cell_len for line in fitting]

    def clear(self) -> None:
        """Take them away, so that other lines can follow."""
        self._write(self._back())
        self._lengths = []

    def say(self, text: str) -> None:
        """Put a line in their place that stays; what is shown next comes below it."""
        self.clear()
        self._console.print(text, markup=False)

    def _back(self) -> str:
        """To the beginning of the first line, as the terminal has wrapped them by now; all below is erased."""
        width = max(1, self._console.width)
        rows = sum(max(1, -(-length // width)) for length in self._lengths)
        rows = min(rows, self._console.height - 1)
        return f"\x1b[{rows}A\r\x1b[J" if rows > 0 else ""

    def _write(self, text: str) -> None:
        known = self._console.encoding.startswith("utf")
        self._console.file.write(text if known else text.translate(_PLAIN))
        self._console.file.flush()
