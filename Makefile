# make demo   sets everything up and runs PatchCore on the toy dataset
# make test   sets everything up and passes the fast tests; make test-all passes the slow ones as well
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-slow test-all lint docs bench clean

setup: .venv/ready

# Set up again only when what is to be installed has changed.
.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v else f"adframe needs Python 3.11 or newer, {sys.executable} is {v[0]}.{v[1]}; name another with make PYTHON=<path>")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup
	$(BIN)/python train.py

# One worker process per core. Each starts with neighbouring tests, which share the models that they train; a worker
# that is done takes over half of the tests that another one has left.
test: setup
	$(BIN)/python -m pytest -n logical --dist worksteal -m "not slow"

# The slow tests come after the fast ones: whole sweeps, trainings and studies.
test-slow: test
	$(BIN)/python -m pytest -n logical --dist worksteal -m "slow and not exhaustive"

# Those that repeat slow tests for further cases come last.
test-all: test-slow
	$(BIN)/python -m pytest -n logical --dist worksteal -m exhaustive

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site in site/. Warnings are errors; no network is needed.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv
