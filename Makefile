# On a machine with Python 3.11 or newer and make: `make demo` shows the main job, `make test` proves all of it.
# Both install what they need into .venv; nothing else of the machine is touched, but that `make test`, when run by
# root on Debian, installs the system packages that some tests drive (scripts/system-packages lists them).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Of `make fuzz`, for each target.
SECONDS ?= 60

.PHONY: help demo test check lint format unit coverage bench clients fuzz docs pictures dist sbom clean

help: ## what there is
	@grep -hE '^[a-z]+:.*##' Makefile | sed 's/:.*##/ –/'

demo: .make/installed ## the main job, from a name to a verified model, without the internet
	$(BIN)/windlass demo

test: .make/test-ready check unit coverage ## everything that must hold before a change lands

check: .make/test-ready ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: .make/test-ready ## the tests alone
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n 3
	$(BIN)/coverage combine -q

coverage: ## branches covered in each room, from the last `make unit`
	$(BIN)/python scripts/coverage_by_room.py

bench: .make/test-ready ## windlass against curl, aria2c and hf, its server under load: writes benchmarks/RESULTS.md (half an hour, 12 GB of disk)
	sh scripts/system-packages bench
	$(BIN)/python -m benchmarks

clients: .make/test-ready ## a download by clients in twelve languages (a minute; installs the languages, 1.5 GB)
	sh scripts/system-packages clients
	$(BIN)/python -m pytest clients tests/real/test_clients.py

fuzz: .make/fuzz-ready ## random bytes for each scanner, guided by what they reach: SECONDS=60 each
	PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(SECONDS)

docs: .make/test-ready ## write the pages that are made from the code (`make unit` fails when one is stale), then the site, into site/
	$(BIN)/python -m scripts.pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

pictures: .make/test-ready ## the pictures of the page in the docs, taken by the tests that drive it
	mkdir -p docs/pictures
	PICTURES=docs/pictures $(BIN)/python -m pytest -q tests/e2e/test_page.py

dist: .make/release-ready ## the wheel and the sdist, into dist/
	$(BIN)/python -m build --outdir dist

sbom: .make/release-ready .make/runtime ## what an installation brings along, as CycloneDX: dist/windlass.cdx.json
	@mkdir -p dist
	@# The tool reads a version that stands in pyproject.toml, and asks nobody for one that does not.
	sed "s/^dynamic = .*/version = \"$$($(BIN)/windlass --version | cut -d' ' -f2)\"/" pyproject.toml >.make/pyproject.toml
	$(BIN)/cyclonedx-py environment .make/runtime --pyproject .make/pyproject.toml --mc-type application \
		--output-reproducible --output-file dist/windlass.cdx.json

format: .make/test-ready ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## forget the virtual environment and what tests left
	rm -rf $(VENV) .make site .coverage* .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	sh scripts/make-venv $(PYTHON) $(VENV)

.make/installed: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --upgrade pip
	$(PIP) install --quiet --editable .
	@mkdir -p .make && touch $@

.make/test-ready: .make/installed scripts/system-packages
	sh scripts/system-packages
	$(PIP) install --quiet --group test --group docs
	@touch $@

.make/fuzz-ready: .make/test-ready
	$(PIP) install --quiet --group fuzz
	@touch $@

.make/release-ready: .make/installed
	$(PIP) install --quiet --group release
	@touch $@

# As `pip install .` makes it, with nothing that only the development needs. Made anew each time: what is newest today is
# what a person gets today.
.PHONY: .make/runtime
.make/runtime: .make/installed
	rm -rf $@
	$(BIN)/python -m venv --without-pip $@
	$(PIP) --python $@/bin/python install --quiet .
