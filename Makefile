# `make run` and `make test` are all a newcomer needs: they set up .venv themselves, from Python 3.11 and the network.
.DEFAULT_GOAL := help
.PHONY: help setup run test test-all test-fast bench bench-peers bench-apebench lint format viz mlflow docs notebook dist clean

EXPERIMENT ?= burgers_1d
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
# Alone without a hash: PyPI's build for Linux brings a dozen packages for graphics cards, and whoever has none may take
# that for CPUs alone: see SECURITY.md.
TORCH := $(shell sed -n 's/^\# \(torch==.*\)/\1/p' requirements.lock)
# Of what is installed, every file has to be one of those that the lock files know.
INSTALL := -m pip install --disable-pip-version-check --require-hashes --no-deps
# What hyco is compared with has an environment of its own: hyco does not need it.
PEERS := .venv-peers
# So has APEBench, which wants another version of exponax than the peers have.
APEBENCH := .venv-apebench

# Nothing is reported to anyone, neither by Kedro nor by MLflow.
export KEDRO_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/.hyco ## make the virtual environment, or bring it up to date

run: setup ## train a physical and a synthetic model together, and say where the report is (EXPERIMENT=burgers_1d)
	$(PY) -m kedro run --pipelines hybrid --env $(EXPERIMENT)

# To watch which lines run costs a test half as much again: every second fast one, in one of its cases, reaches the bar.
test: lint ## lint, types, import contract, all tests but studies, and the coverage of half of those that are not slow
	$(PY) -m pytest -n 2 --dist worksteal -m "not study" --cov --cov-half --cov-report term

test-all: test ## the same, and the tests that are marked study
	$(PY) -m pytest -n 2 --dist worksteal -m study

test-fast: setup ## the tests that are not marked slow
	$(PY) -m pytest -q -n 2 --dist worksteal -m "not slow"

bench: setup ## measure speed against hand-written code, a quarter of an hour: docs/studies/performance.md
	OMP_NUM_THREADS=1 $(PY) benchmarks/performance.py --compiled --repetitions 5
	OMP_NUM_THREADS=1 $(PY) benchmarks/work_precision.py

bench-peers: $(PEERS)/.peers setup ## measure beside exponax, equinox, DeepXDE and pysindy: docs/studies/work_precision.md
	OMP_NUM_THREADS=1 $(PY) benchmarks/work_precision.py --peers $(PEERS)/bin/python
	OMP_NUM_THREADS=1 $(PY) benchmarks/network_training.py --peers $(PEERS)/bin/python
	OMP_NUM_THREADS=1 $(PY) benchmarks/inversions.py --peers $(PEERS)/bin/python --results build/inversions.jsonl \
	  --write docs/studies/inversions.md

bench-apebench: $(APEBENCH)/.apebench setup ## networks on the data of APEBench, hours: docs/studies/apebench.md
	OMP_NUM_THREADS=1 $(PY) benchmarks/apebench_networks.py --peers $(APEBENCH)/bin/python --write docs/studies/apebench.md

lint: setup ## check style, types, the direction of imports, and the sizes of files and classes
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(PY) tests/house.py

format: setup ## format the code, and mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

viz: setup ## look at pipelines and data in Kedro-Viz
	$(PY) -m kedro viz run --host 127.0.0.1 --port 4141

mlflow: setup ## compare runs in MLflow
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(PY) -m mlflow ui --host 127.0.0.1 --port 5000 --workers 1 \
	  --backend-store-uri "sqlite:///$(CURDIR)/mlflow.db"

docs: setup ## make the documentation as a site, build/docs/index.html
	$(PY) $(INSTALL) --quiet --requirement docs/requirements.lock
	$(PY) -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

notebook: setup ## open the notebooks in JupyterLab
	$(PY) $(INSTALL) --quiet --requirement notebooks/requirements.lock
	$(BIN)/jupyter lab notebooks

dist: setup ## build the wheel and the source distribution, in dist/
	$(PY) -m build --outdir dist .

clean: ## remove the virtual environment, caches and build leftovers; data/ and MLflow's runs stay
	rm -rf $(VENV) $(PEERS) $(APEBENCH) build dist src/*.egg-info htmlcov .coverage .coverage.* .viz
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find src tests -name __pycache__ -type d -exec rm -rf {} +

# Two steps, so that a change of pyproject.toml does not install everything again.
$(VENV)/.requirements: requirements.lock
	@test -n "$(PYTHON)" || { echo "hyco needs Python 3.11 or newer: install it, or say make PYTHON=/path/to/python3.11"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(PY) $(INSTALL) --requirement requirements.lock
	$(PY) -m pip install --disable-pip-version-check $(TORCH)
	@touch $@

$(PEERS)/.peers: Makefile
	"$(PYTHON)" -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --disable-pip-version-check --quiet jax==0.10.2 jaxlib==0.10.2 \
	  equinox==0.13.8 exponax==0.2.0 optax==0.2.8 $(TORCH) deepxde==1.15.0 pysindy==2.1.0
	@touch $@

$(APEBENCH)/.apebench: Makefile
	"$(PYTHON)" -m venv $(APEBENCH)
	$(APEBENCH)/bin/python -m pip install --disable-pip-version-check --quiet apebench==0.1.1 exponax==0.1.0 \
	  pdequinox==0.1.2 trainax==0.0.2 jax==0.10.2 jaxlib==0.10.2 equinox==0.13.8 optax==0.2.8
	@touch $@

$(VENV)/.hyco: $(VENV)/.requirements pyproject.toml
	$(PY) -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@
