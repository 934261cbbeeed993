# `make demo` and `make test` are all the set-up there is: each makes the environment first when it is missing.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Pages are looked at in a real browser; where there is none, those tests are left out, and this is said.
BROWSER := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

.PHONY: help setup demo test check lint types simulate clean
help:
	@echo "make demo   run the pipeline on the built-in data"
	@echo "make test   all tests          make check  lint, types and quick tests"
	@echo "make simulate   how often the decision is wrong, and how often it finds what is there"
	@echo "make clean  forget everything that runs and tests have kept"

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@echo "making the environment in $(VENV) (a few minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check -r requirements.lock
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $(READY)

demo: $(READY)
	@$(BIN)/parsimony run flows/plans/demo.toml

test: $(READY)
ifeq ($(BROWSER),)
	@echo "no chromium on this machine: the tests marked 'browser' are left out"
	@$(BIN)/pytest -m "not browser"
else
	@$(BIN)/pytest
endif

check: lint types
	@$(BIN)/pytest -m "not slow and not flow and not browser"

lint: $(READY)
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .

types: $(READY)
	@$(BIN)/mypy --no-error-summary

# Two thousand worlds of each kind in 64 cells: about ten minutes on one core.
simulate: $(READY)
	@$(BIN)/python -m parsimony.simulation 2000 docs/simulation.md

clean:
	@rm -rf .parsimony .mypy_cache .pytest_cache .ruff_cache build *.egg-info
