# Two commands: `make serve` starts foodscene on the bundles that ship, `make test` runs the whole test suite.
# Both first set up what they need in .venv, from the versions in requirements.lock; a second call starts at once.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint requirements.lock

.PHONY: serve test quick check docs wheel bench lock help

help:
	@sed -n 's/^# //p' Makefile | head -n 2

serve: .venv/serve
	$(BIN)/foodscene serve

test: .venv/dev
	$(BIN)/python -m pytest -n auto --cov --cov-report=term:skip-covered

# The tests but those marked slow, for daily work; CI runs them all.
quick: .venv/dev
	$(BIN)/python -m pytest -n auto -m "not slow and not nightly"

# What CI checks before the tests: style, types, and who may import whom.
check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What the documentation takes from the code, written anew.
docs: .venv/dev
	$(BIN)/python -m docs.generate

# The wheel, built, installed into a clean environment, and asked about a photo from an empty folder.
wheel: .venv/dev
	$(BIN)/python -m tests.wheel

# A short round of every benchmark, in an environment of their own; needs a package index.
bench: .venv-bench/ready
	.venv-bench/bin/python -m benchmarks.short

.venv/serve: pyproject.toml requirements.lock
	@echo "Setting up .venv to serve (half a minute, once) ..."
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'foodscene needs Python 3.11 or later: make PYTHON=python3.12 ...')"
	@test -d .venv || $(PYTHON) -m venv .venv
	@$(PIP) --editable .
	@touch $@

.venv/dev: .venv/serve
	@echo "Setting up .venv to train and test (TensorFlow: 3 GB, some minutes, once) ..."
	@$(PIP) --editable ".[train,dev]"
	@touch $@

.venv-bench/ready: pyproject.toml requirements.lock
	@echo "Setting up .venv-bench for the benchmarks (TensorFlow and more: 3 GB, some minutes, once) ..."
	@test -d .venv-bench || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip --disable-pip-version-check --quiet install --constraint requirements.lock --editable ".[train,bench]"
	@touch $@

# The lock holds the versions for every extra, Python version and platform; needs uv.
lock:
	@echo "# Written by \`make lock\` from pyproject.toml: the versions that every make target installs." > requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-header --no-annotate --no-emit-index-url pyproject.toml >> requirements.lock
