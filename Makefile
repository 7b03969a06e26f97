# `make up` runs holdfast on your own logs; `make test` passes every test. Both start from nothing
# but Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: up test check bench simulate lock format clean

up: $(VENV)/ready
	$(BIN)/holdfast up

test: $(VENV)/ready
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

check: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/ready
	$(BIN)/python -m bench $(ARGS)

# Each scenario with so many seeds, or one of them step by step:
# make simulate SCENARIOS=tests.simulation.stream ARGS="--seed 7"
SEEDS ?= 10000
SCENARIO_FILES := $(filter-out tests/simulation/test_% tests/simulation/asking.py tests/simulation/keeping.py tests/simulation/planted.py,$(wildcard tests/simulation/*.py))
SCENARIOS ?= $(subst /,.,$(basename $(SCENARIO_FILES)))
simulate: $(VENV)/ready
	$(BIN)/python -m holdfast.simulation $(SCENARIOS) --seeds $(SEEDS) $(ARGS)

format: $(VENV)/ready
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "holdfast needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# Resolves requirements.in afresh and pins what it finds, versions only.
lock:
	$(PYTHON) -m venv $(VENV).lock
	$(VENV).lock/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.in
	$(VENV).lock/bin/python -m pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==' > requirements.lock
	rm -rf $(VENV).lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis bench/out
