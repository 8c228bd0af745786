# Two commands: `make serve` starts foodscene on the bundles that ship, `make test` runs the tests.
# Both first set up what they need in .venv, from the locked versions, whose content is checked; a second call starts at
# once.

PYTHON ?= python3
BIN := .venv/bin
# In two steps: pip takes no folder of sources where it asks for hashes. The build backend is locked, too.
PIP := -m pip --disable-pip-version-check --quiet install
LOCKED := $(PIP) --require-hashes --requirement
OURS := $(PIP) --no-deps --no-build-isolation --editable .

# A .venv that was left half made, has no pip, or was made in another folder than this is moved aside and made anew: what
# is in it would fail with an error that says none of that.
define CHECK
test ! -d .venv || test -L .venv || { test ! -e .venv/unfinished && .venv/bin/python -c "import pip" && grep -qF "$(CURDIR)/.venv/" .venv/bin/pip; } \
	2>/dev/null || { rm -rf .venv-aside; mv .venv .venv-aside; echo moved; }
endef
ifneq ($(shell $(CHECK)),)
$(info .venv was not whole, or was made elsewhere: it is .venv-aside now, and made anew.)
endif

# Debian and Ubuntu have venv in a package of its own, and leave half of a .venv without it.
VENV = test -d .venv || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python's venv is not whole here. On Debian and Ubuntu: \
	apt install python3-venv. Then the same command again."; exit 1; }

.PHONY: serve test quick check docs wheel bench lock help

help:
	@sed -n 's/^# //p' Makefile | head -n 2

serve: .venv/serve
	$(BIN)/foodscene serve

test: .venv/dev
	$(BIN)/python -m pytest -n auto --dist worksteal

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

.venv/serve: pyproject.toml requirements-serve.lock
	@echo "Setting up .venv to serve (half a minute, once) ..."
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'foodscene needs Python 3.11 or later: make PYTHON=python3.12 ...')"
	@$(VENV)
	@touch .venv/unfinished
	@$(BIN)/python $(LOCKED) requirements-serve.lock
	@$(BIN)/python $(OURS)
	@rm .venv/unfinished
	@touch $@

.venv/dev: .venv/serve requirements.lock
	@echo "Setting up .venv to train and test (TensorFlow: 3 GB, some minutes, once) ..."
	@$(BIN)/python -c "import sys; sys.exit(sys.version_info >= (3, 14) and 'TensorFlow has no version for Python 3.14 yet: training takes 3.11 to 3.13. Remove .venv, then: make PYTHON=python3.13 ...')"
	@touch .venv/unfinished
	@$(BIN)/python $(LOCKED) requirements.lock --no-compile
	@$(BIN)/python $(OURS)
	@rm .venv/unfinished
	@touch $@

.venv-bench/ready: pyproject.toml requirements.lock
	@echo "Setting up .venv-bench for the benchmarks (TensorFlow and more: 3 GB, some minutes, once) ..."
	@test -d .venv-bench || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python $(LOCKED) requirements.lock
	@.venv-bench/bin/python $(OURS)
	@touch $@

# What is installed, with the hashes of its files, for every Python version and platform: everything but NVIDIA's
# libraries; what serves; what trains on a GPU. Versions stay as they are; `make lock UPGRADE=--upgrade` takes the newest.
# Needs uv.
BACKEND := $(shell sed -n 's/^requires = \["\(.*\)"\]$$/\1/p' pyproject.toml)
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-strip-extras \
	--custom-compile-command "make lock"

lock:
	echo "$(BACKEND)" | $(COMPILE) $(UPGRADE) --extra train --extra scratch --extra bench --extra bulk --extra lite --extra mlflow --extra dev --output-file requirements.lock pyproject.toml -
	echo "$(BACKEND)" | $(COMPILE) --constraint requirements.lock --output-file requirements-serve.lock pyproject.toml -
	echo "$(BACKEND)" | $(COMPILE) --constraint requirements.lock --extra train --extra gpu --output-file requirements-gpu.lock pyproject.toml -
