"""`python -m windlass` is the command."""

from windlass.cli.main import main

main()
