# Doors to the commands that this project is worked with; every tool's settings stand in pyproject.toml.

PYTHON ?= $(or $(shell command -v python3.11),python3)
VENV := .venv
BIN := $(VENV)/bin
# pip as the machine has it set up, from versions and hashes alone; modules are compiled when they are first imported.
INSTALL := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-compile --no-deps
LOCKED := $(INSTALL) --no-build-isolation --require-hashes
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --quiet $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.PHONY: help setup spark demo test nightly lint lock bench clean

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(VENV)/installed ## make the environment in .venv (again where the lock or pyproject.toml changed)

spark: $(VENV)/installed-spark ## add PySpark to it, 450 MB (as `make test` does where there is Java)

demo: setup ## the whole job on a simulated company
	$(BIN)/vouch demo

test: setup $(if $(shell command -v java),spark) ## every test, with coverage, and what was skipped and why
	$(BIN)/python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder --cov --cov-report=term

lint: setup ## ruff, mypy, and the layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/promises/test_layers.py

lock: setup ## resolve pyproject.toml into the lock files; UPGRADE=1 takes the newest versions
	$(COMPILE) --extra dagster --extra dev --extra notebooks --extra postgres --output-file requirements.lock
	$(COMPILE) --extra spark --constraint requirements.lock --output-file requirements-spark.lock \
		$$(sed -n 's/^\([a-z0-9.-]*\)==.*/--no-emit-package \1/p' requirements.lock)

nightly: setup $(if $(shell command -v java),spark) ## the tests that `make test` has no room for: faults, load, coverage of intervals
	$(BIN)/python -m pytest -m nightly

bench: setup ## ratios against named references; ONLY="NAME ..." runs some
	$(BIN)/python tests/benchmarks/run.py $(ONLY)

clean: ## remove caches and what was built or measured; .venv and .vouch stay
	rm -rf .bench .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info htmlcov
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

$(VENV)/installed: pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(LOCKED) --requirement requirements.lock
	$(INSTALL) --no-build-isolation --editable .
	touch $@

$(VENV)/installed-spark: requirements-spark.lock $(VENV)/installed
	$(LOCKED) --requirement requirements-spark.lock
	touch $@
