# Set-up is part of every target: on a machine with Python 3.11 or newer, `make run` is enough.
# ARGS goes to the command: make run ARGS='--port 9999'
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Where it is set, every process compiles every file again: 8 s of the tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install run test check smoke bench lock clean
.DEFAULT_GOAL := run

install: $(VENV)/installed

# --no-deps after the lock: what runs is what the lock names, to the byte.
$(VENV)/installed: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: install
	@$(BIN)/relay serve $(ARGS)

smoke: install
	@$(BIN)/relay smoke $(ARGS)

test: install
	$(BIN)/pytest -n 5 --cov --cov-report=term

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	@$(BIN)/python -m tests.bench $(ARGS)

# Needs uv; hashes for every platform, no index addresses. What tests need bounds what runs:
# OpenTelemetry's instrumentation lags behind its SDK.
lock:
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	    --extra dev pyproject.toml -o requirements-dev.lock
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	    -c requirements-dev.lock pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .coverage* .hypothesis
