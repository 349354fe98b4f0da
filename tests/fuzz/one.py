"""One target under atheris: `python -m fuzz.one TARGET`, then libFuzzer's own arguments."""

import sys

import atheris

# Before the targets are imported, so that atheris sees which of the scanners' branches an input takes.
with atheris.instrument_imports(include=["windlass", "yaml"]):
    from fuzz.targets import TARGETS


def main() -> None:
    """Run until libFuzzer ends the process."""
    target = TARGETS[sys.argv.pop(1)]

    def once(data: bytes) -> None:
        target(data)

    atheris.Setup(sys.argv, once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
