# Two commands set everything up: `make demo` and `make test`.
# Each makes .venv, installs what the lock names, then does its work.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# Each worker begins with a half of the files, so that a file's servers and models are made once.
WORKERS := --numprocesses auto --dist worksteal

# Without .pyc files each worker compiles all tests anew, and each of the several hundred programs
# that the tests start compiles the package: together a third of the time.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo check test test-all test-engines lint types doors tests lock clean

demo: .venv/runtime
	$(BIN)/k2compat demo

# The inner loop: under a minute, without what starts programs or runs long loops.
check: lint types doors
	$(BIN)/pytest --quiet $(WORKERS) -m "not slow"

# Samples of the long matrices, and no measure of coverage, which takes a third of the time.
test: lint types doors
	$(BIN)/pytest $(WORKERS)

# The whole matrices, with the coverage that is demanded.
test-all: export K2COMPAT_TESTS = all
test-all: lint types doors tests

.venv/bin/pip:
	$(PYTHON) -m venv .venv

# The package is installed editable, without build isolation: an isolated
# build would download a build backend that no lock pins.
.venv/runtime: .venv/bin/pip requirements.lock pyproject.toml
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

.venv/development: .venv/runtime requirements-dev.lock
	$(PIP) install --require-hashes -r requirements-dev.lock
	touch $@

lint: .venv/development
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python scripts/check_prose.py

types: .venv/development
	$(BIN)/mypy

doors: .venv/development
	$(BIN)/lint-imports

tests: .venv/development
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(WORKERS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --omit='k2compat/cli/*' --fail-under=100
	$(BIN)/coverage report --include='k2compat/cli/*' --fail-under=95

# Outside of `make test`: it installs gigabytes, into .venv-engines alone (docs/test-engines.md).
# All of them; ENGINES="transformers router" leaves the others out.
# A server that starts may take minutes, hence the longer limit for one test.
ENGINES ?=

test-engines: .venv/development
	$(BIN)/python tests_engines/install.py $(ENGINES)
	$(BIN)/pytest --timeout 900 tests_engines

# Resolved for every platform and Python at once; --no-emit keeps the
# resolver's own settings (indexes, local folders) out of the files.
UV_COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header --all-extras pyproject.toml

lock:
	$(UV_COMPILE) --group build --output-file requirements.lock
	$(UV_COMPILE) --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean:
	rm -rf .venv .venv-engines build dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
