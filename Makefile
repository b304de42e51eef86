# GAS on one machine. Needs make and Python 3.11 to 3.14, nothing else: no root, no Docker, no account.

SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9

# The Python to build the environment with: PYTHON=... chooses, else the first of these that runs and fits.
CANDIDATES := $(PYTHON) python3 python3.13 python3.12 python3.14 python3.11
FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))

.PHONY: help
help: ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST)

# The stack.

.PHONY: demo
demo: $(VENV)/.run ## Start the stack, annotate a real VCF, show the result, stay until Ctrl-C (DEMO_ONCE=1: stop after it).
	@exec $(BIN)/gas demo

.PHONY: up
up: $(VENV)/.run ## Start the stack and leave it running.
	@exec $(BIN)/gas up

.PHONY: down
down: $(VENV)/.run ## Stop the stack; jobs, results and sign-ups are kept.
	@exec $(BIN)/gas down

.PHONY: status
status: $(VENV)/.run ## Show what runs, where, and how to sign in.
	@exec $(BIN)/gas status

# The tests. Those with a running stack go one at a time, the others on every processor; each worker has its own servers.

PARALLEL := -n logical --maxprocesses 4 --dist worksteal

.PHONY: test
test: $(VENV)/.dev lint browser ## Run every check and every test but the long ones.
	$(BIN)/pytest -m "not long and not live" $(PARALLEL)
	$(BIN)/pytest -m "not long and live"

.PHONY: test-long
test-long: $(VENV)/.dev browser ## Run the exhaustive and long tests.
	$(BIN)/pytest -m "long and not live" $(PARALLEL)
	$(BIN)/pytest -m "long and live"

.PHONY: pictures
pictures: $(VENV)/.dev browser ## Take the pictures in docs/ anew.
	PICTURES=docs/pictures $(BIN)/pytest -q tests/browser/test_pictures.py

.PHONY: lint
lint: $(VENV)/.dev ## Check style and types.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

.PHONY: browser
browser: $(VENV)/.dev ## Find or get the Chromium that browser tests drive.
	@$(BIN)/python tests/chromium.py --get

# The measurements.

.PHONY: bench
bench: $(VENV)/.dev ## Measure, one JSON object a line (HUMAN=folder takes real human files, QUICK=1 only tries it).
	@$(BIN)/python benchmarks/engine.py $(if $(HUMAN),--human $(HUMAN)) $(if $(QUICK),--quick)
	@$(BIN)/python benchmarks/jobs.py $(if $(HUMAN),--human $(HUMAN)) $(if $(QUICK),--quick)
	@$(BIN)/python benchmarks/storage.py $(if $(QUICK),--quick)
	@$(BIN)/python benchmarks/explore.py $(if $(QUICK),--variants 20000)
	@$(BIN)/python benchmarks/account.py $(if $(QUICK),--jobs 2000 --rounds 3)

.PHONY: bench-scale
bench-scale: $(VENV)/.dev ## Measure at a size where one machine is too small; takes hours (QUICK=1 only tries it).
	@$(BIN)/python benchmarks/scale.py $(if $(QUICK),--quick)

# The environment.

.PHONY: lock
lock: $(VENV)/.uv ## Resolve the dependencies anew into requirements.txt and requirements-dev.txt.
	$(BIN)/uv pip compile --quiet --universal --upgrade --custom-compile-command "make lock" \
		--extra local --output-file requirements.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --upgrade --custom-compile-command "make lock" \
		--extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

.PHONY: clean
clean: ## Stop the stack, remove the environment and the caches; the stack's state stays in .gas.
	@if [ -x $(BIN)/gas ]; then $(BIN)/gas down; fi
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.python:
	@if $(BIN)/python -c '$(FITS)' 2>/dev/null; then touch $@; exit 0; fi; \
	for python in $(CANDIDATES); do \
		if "$$python" -c '$(FITS)' 2>/dev/null; then \
			echo "Making an environment in $(VENV) with $$("$$python" --version)"; \
			"$$python" -m venv --clear $(VENV) && touch $@ && exit 0; \
		fi; \
	done; \
	echo "GAS needs Python 3.11 to 3.14 with its venv module (on Debian: python3-venv); name one with PYTHON=..." >&2; \
	exit 1

$(VENV)/.uv: $(VENV)/.python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

# uv is several times faster; pip knows package indexes that only its own configuration names.
define install
	@echo "Installing $(1)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r $(1) \
		|| { echo "uv could not; trying pip" >&2; $(BIN)/python -m pip install --quiet -r $(1); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
endef

$(VENV)/.run: requirements.txt pyproject.toml $(VENV)/.uv
	$(call install,requirements.txt)

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	$(call install,requirements-dev.txt)
