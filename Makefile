# `make demo` and `make test` are all the set-up there is: each makes the environment first when it is missing.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
# The tests start hundreds of processes; each would compile the whole project again.
unexport PYTHONDONTWRITEBYTECODE

# Tests run side by side, a file at a time, the longest files first (tests/conftest.py).
JOBS ?= auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Pages are looked at in a real browser; where there is none, those tests are left out, and this is said.
BROWSER := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

LEFT_OUT := $(if $(BROWSER),, and not browser)

# Images are built and run where buildah, podman and runc are (apt-get install buildah podman runc debootstrap).
CONTAINERS := $(and $(shell command -v buildah),$(shell command -v podman),$(shell command -v runc))
LONG_LEFT_OUT := $(LEFT_OUT)$(if $(CONTAINERS),, and not containers)

.PHONY: help setup demo test test-long images check lint types simulate replay instrument mutate storm drill screenshots bench clean
help:
	@echo "make demo   run the pipeline on the built-in data"
	@echo "make test   the tests          make check  lint, types and quick tests"
	@echo "make test-long   the tests that take longest: other stages, other bodies, many repetitions"
	@echo "make images   build the images of docker/ with buildah, as root (BASE=image)"
	@echo "make simulate   how often the decision is wrong, and how often it finds what is there"
	@echo "make replay   what each rule makes of kept runs (HOMES=\"one another\")"
	@echo "make mutate   how many changes to the arithmetic of the decision its tests notice"
	@echo "make storm   kills, lost calls, races, tampering and hostile files by the hundred (SHARE=0.1)"
	@echo "make drill   servers, workers and reviewers that go wrong: what is said, and how long it takes"
	@echo "make screenshots   the pages of the documentation, by a browser that does what a person does"
	@echo "make instrument   how often a verdict about speed is wrong, on work that is known beforehand"
	@echo "make bench   what others make of the same reference, beside what is promoted (PLAN=plan.toml)"
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
	$(if $(BROWSER),,@echo "no chromium on this machine: the tests marked 'browser' are left out")
	@$(BIN)/pytest -n $(JOBS) -m "not long$(LEFT_OUT)"

test-long: $(READY)
	$(if $(BROWSER),,@echo "no chromium on this machine: the tests marked 'browser' are left out")
	$(if $(CONTAINERS),,@echo "no buildah, podman and runc on this machine: the tests marked 'containers' are left out")
	@$(BIN)/pytest -n $(JOBS) -m "long$(LONG_LEFT_OUT)"

# As root; BASE names the image to build on, OPTIONS goes to buildah (docker/build.sh). Minutes, and as many gigabytes.
images:
	@docker/build.sh serve worker train

check: lint types
	@$(BIN)/pytest -m "not slow and not flow and not browser"

lint: $(READY)
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .

# parsimony.flows and parsimony.tasks do not lie below parsimony/, where mypy would look for them.
types: $(READY)
	@rm -rf .types
	@mkdir -p .types/parsimony
	@ln -s $(addprefix ../../,$(filter-out %/__pycache__,$(wildcard parsimony/*)) flows tasks) .types/parsimony/
	@MYPYPATH=.types $(BIN)/mypy --no-error-summary -p parsimony

# Four hundred worlds of each kind in 32 cells, then in 8 cells of ladders: ten minutes on one core.
simulate: $(READY)
	@$(BIN)/python -m parsimony.audit.simulation_page 400 docs/trials/simulation.md

# Kept runs, named by their homes, under every rule; predictions are kept in .replay.
HOMES ?= .parsimony
replay: $(READY)
	@$(BIN)/python -m parsimony.audit.replay docs/trials/replay.md .replay $(HOMES)

# mutmut gets an environment of its own, as Olive does. One mutant at a time, so that none runs out of time for
# another: ten minutes on one core, more on a busy one.
MUTATE := .mutate
mutate: $(MUTATE)/.ready
	@rm -rf mutants
	@$(MUTATE)/bin/mutmut run --max-children 1
	@$(MUTATE)/bin/python -m tests.mutation docs/trials/mutation.md

$(MUTATE)/.ready: requirements.lock Makefile
	@$(PYTHON) -m venv $(MUTATE)
	@$(MUTATE)/bin/pip install -q --disable-pip-version-check -c requirements.lock \
		mutmut==3.8.1 numpy pytest scipy scikit-learn
	@touch $@

# Thousands of trials: some hours on one core. PostgreSQL is Debian's (apt-get install postgresql); without it, SQLite alone.
SHARE ?= 1
storm: $(READY)
	@$(BIN)/python -m tests.storm docs/reliability.md --share $(SHARE)

# Real servers and some twenty searches of a tiny model: half an hour on one core.
drill: $(READY)
	@$(BIN)/python -m tests.drills docs/trials/operation.md

# Below /srv/parsimony, which names no machine; it must not be there yet.
screenshots: $(READY)
	@PARSIMONY_SCREENSHOTS=docs/images $(BIN)/pytest tests/flows/test_person.py

# Two hundred repetitions, quiet and with a loaded core: a quarter of an hour; longer with BUNDLE=folder, which is compared with itself.
BUNDLE ?=
instrument: $(READY)
	@$(BIN)/python -m parsimony.audit.instrument 200 docs/trials/instrument.md $(BUNDLE)

# Olive and optimum get environments of their own: their dependencies are not ours.
PLAN ?= flows/plans/demo.toml
OLIVE := .bench/olive
OPTIMUM := .bench/optimum
bench: $(READY) $(OLIVE)/.ready $(OPTIMUM)/.ready
	@rm -rf .bench/home
	@PARSIMONY_HOME=.bench/home $(BIN)/python benchmarks/peers.py $(PLAN) --optimum $(OPTIMUM)/bin/python --olive $(OLIVE)/bin/python

$(OPTIMUM)/.ready: requirements.lock Makefile
	@$(PYTHON) -m venv $(OPTIMUM)
	@grep -E '^(torch|numpy|onnx|onnxruntime)==' requirements.lock > $(OPTIMUM)/pins.txt
	@$(OPTIMUM)/bin/pip install -q --disable-pip-version-check -c $(OPTIMUM)/pins.txt optimum-onnx==0.1.0 onnxruntime
	@touch $@

$(OLIVE)/.ready:
	@$(PYTHON) -m venv $(OLIVE)
	@grep -E '^(torch|numpy|onnx|onnxruntime|transformers)==' requirements.lock > $(OLIVE)/pins.txt
	@$(OLIVE)/bin/pip install -q --disable-pip-version-check -c $(OLIVE)/pins.txt olive-ai onnxruntime
	@touch $@

clean:
	@rm -rf .parsimony .types mutants .mypy_cache .pytest_cache .ruff_cache build *.egg-info
