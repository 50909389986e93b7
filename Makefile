# Doors to the commands that this project is worked with; every tool's settings stand in pyproject.toml.

# The first Python that is new enough; another one with `make PYTHON=...`.
PYTHON ?= $(shell for found in .venv/bin/python python3.11 python3.12 python3.13 python3.14 python3; do \
	$$found -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null && echo $$found && exit; \
	done; command -v python3)
BIN := .venv/bin
SET_UP = @$(or $(PYTHON),$(error vouch needs Python: `apt-get install python3 python3-venv`)) environment.py requirements.lock
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --only-binary :all: --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --quiet $(if $(UPGRADE),--upgrade)
# Three, since tests wait for servers, pages and disks: on two cores a fifth of the time would be idle.
PYTEST = $(BIN)/python -m pytest --numprocesses 3 --dist loadscope --no-loadscope-reorder
BESIDE = --constraint requirements.lock $$(sed -n 's/^\([a-z0-9.-]*\)==.*/--no-emit-package \1/p' requirements.lock)

.DEFAULT_GOAL := help
.PHONY: help setup tools spark demo test coverage nightly lint golden wordings lock sbom bench clean
.NOTPARALLEL:

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## make the environment in .venv, or bring it up to date: what runs vouch
	$(SET_UP)

tools: ## add what tests, lints and measures it, and the extras but Spark
	$(SET_UP) requirements-dev.lock

spark: ## add PySpark, 450 MB (as `make test` does where there is Java)
	$(SET_UP) requirements-spark.lock

demo: setup ## the whole job on a simulated company
	$(BIN)/vouch demo

test: tools $(if $(shell command -v java),spark) ## every test, and what was skipped and why
	$(PYTEST)

coverage: tools $(if $(shell command -v java),spark) ## the same tests, a third slower, and the lines and branches that none of them ran
	$(PYTEST) --cov --cov-report=term

lint: tools ## ruff, mypy, and the layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@mkdir -p .build/vouch && ln -sfn ../../serving/python/__init__.py .build/vouch/__init__.py && \
		for folder in features models training serving; do ln -sfn ../../$$folder .build/vouch/$$folder; done
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/promises/test_layers.py

golden: tools ## write the texts that definitions are reviewed by, and say what differs: read it before a commit
	$(BIN)/python tests/support/golden_files.py

wordings: tools ## what has no words in a language yet, and is told in English
	$(BIN)/python tests/support/wordings.py

lock: tools ## resolve pyproject.toml into the lock files; UPGRADE=1 takes the newest versions
	$(COMPILE) --group build --output-file requirements.lock
	$(COMPILE) --extra dagster --extra dev --extra lakes --extra mcp --extra notebooks --extra postgres $(BESIDE) --output-file requirements-dev.lock
	$(COMPILE) --extra spark --no-binary pyspark $(BESIDE) --output-file requirements-spark.lock

sbom: setup ## write what vouch runs on, as a CycloneDX bill of materials and a list of licences, into build/
	$(BIN)/python -m vouch.serving.deployment.bill_of_materials requirements.lock build

nightly: tools $(if $(shell command -v java),spark) ## the tests that `make test` has no room for: faults, load, coverage of intervals
	$(BIN)/python -m pytest -m nightly

bench: tools ## ratios against named references; ONLY="NAME ..." runs some
	$(BIN)/python tests/benchmarks/run.py $(ONLY)

clean: ## remove caches and what was built or measured; .venv and .vouch stay
	rm -rf .bench .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info htmlcov
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
