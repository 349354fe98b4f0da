"""`windlass check`: jobs, receipts, partials and disk held against each other, and mended where that is wished."""

import json
import sys

from windlass.cli import exits
from windlass.inspection import Outcome, outcome_body
from windlass.service import Service
from windlass.settings import Settings


def check(settings: Settings, *, fix: bool, as_json: bool) -> int:
    """Say what is wrong, a line each; the exit code.

    By this process, also where a server runs: it is this disk that is looked at, and nothing is in the server's way.
    """
    with Service(settings) as service:
        outcomes = service.inspection.check(fix=fix)
    if as_json:
        sys.stdout.write(json.dumps([outcome_body(outcome) for outcome in outcomes]) + "\n")
    else:
        sys.stdout.write("".join(f"{_line(outcome)}\n" for outcome in outcomes))
        if not outcomes:
            sys.stderr.write("All is well.\n")
    return exits.DONE if all(outcome.fixed for outcome in outcomes) else exits.FAILED


def _line(outcome: Outcome) -> str:
    """One line, whatever a file is called."""
    text = f"{outcome.finding.where}: {outcome.finding.message}; {outcome.advice}"
    return "".join(char if char.isprintable() else "�" for char in text)
