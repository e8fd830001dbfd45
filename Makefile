# Set-up is part of every target: on a machine with Python 3.11 or newer, `make run` is enough.
# ARGS goes to the command: make run ARGS='--port 9999'
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
QUIET := --quiet --disable-pip-version-check
LOCKED := $(QUIET) --no-deps --require-hashes

# Where it is set, every process compiles every file again: 8 s of the tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install run test test-all test-slow check screenshots sbom fuzz smoke bench bench-gate \
	bench-peers bench-compare bench-agents profile lock clean
.DEFAULT_GOAL := run

install: $(VENV)/developed

# --no-deps: pip installs what the lock names and resolves nothing, so that a newer release of any
# package changes nothing here. `pip check` then says whether the lock is whole.
$(VENV)/locked: requirements/run.lock requirements/build.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Relay needs Python 3.11 or newer; try: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	    { echo "This Python lacks venv; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install $(LOCKED) -r requirements/run.lock
	$(PIP) install $(LOCKED) -r requirements/build.lock
	@touch $@

$(VENV)/installed: $(VENV)/locked pyproject.toml
	$(PIP) install $(QUIET) --no-deps --no-build-isolation -e .
	$(PIP) check $(QUIET)
	@touch $@

# With the Python client, a distribution of its own that the tests use.
$(VENV)/developed: $(VENV)/installed requirements/dev.lock deploy/client/pyproject.toml
	$(PIP) install $(LOCKED) -r requirements/dev.lock
	$(PIP) install $(QUIET) --no-deps --no-build-isolation -e deploy/client
	$(PIP) check $(QUIET)
	@touch $@

# npm packages for the type check of Studio.
$(VENV)/typed: $(VENV)/developed tests/studio/package-lock.json
	$(BIN)/python -m tests.support.typescript install
	@touch $@

# What the agents of tests/flows need.
$(VENV)/agents/whole: $(VENV)/developed tests/flows/agents/packages.lock
	$(BIN)/python -m tests.support.agents
	@touch $@

# The OpenID provider of tests/connections.
$(VENV)/nanoidp/whole: $(VENV)/developed tests/connections/nanoidp/packages.lock
	$(BIN)/python -m tests.support.nanoidp
	@touch $@

# npm packages for the tests of MCP.
$(VENV)/mcp/whole: $(VENV)/developed tests/mcp/package-lock.json
	$(BIN)/python -m tests.support.npm install mcp
	@touch $@

run: $(VENV)/installed
	@$(BIN)/relay serve $(ARGS)

smoke: $(VENV)/installed
	@$(BIN)/relay smoke $(ARGS)

# What a person runs before a commit: without faults, the stack, PostgreSQL and storms.
test: install
	$(BIN)/pytest -n 5 -m 'not slow' $(TRACED)

# Both parts together are covered; each test runs once.
test-all:
	$(MAKE) test TRACED='--cov --cov-report= --cov-fail-under=1'
	$(MAKE) test-slow

# What `make test` leaves out. Browsers come last: beside them nothing else can be timed.
test-slow: install $(VENV)/typed $(VENV)/agents/whole $(VENV)/mcp/whole $(VENV)/nanoidp/whole
	$(BIN)/pytest -n 5 -m slow --cov --cov-append --cov-report= --cov-fail-under=1 \
	    --ignore=tests/studio
	$(BIN)/pytest -n 3 --cov --cov-append --cov-report=term tests/studio

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.supply

# The pictures of the README and of deploy/guides/studio.md; needs chromium.
screenshots: install
	@$(BIN)/python -m tests.studio.screenshots

# What is installed to run, in CycloneDX.
OUT := sbom.json
sbom: install
	@$(BIN)/cyclonedx-py requirements requirements/run.lock --of JSON -o $(OUT)

# Generated requests, then each parser of callers' text for SECONDS, guided by coverage.
REQUESTS := 100000
SECONDS := 300
fuzz: install
	FUZZ_REQUESTS=$(REQUESTS) $(BIN)/pytest tests/fuzz
	$(BIN)/python -m tests.fuzz.guided json $(SECONDS)
	$(BIN)/python -m tests.fuzz.guided url $(SECONDS)

bench: install
	@$(BIN)/python -m tests.bench table $(ARGS)

# Fails only if an execute has grossly lost speed against the floor.
bench-gate: install
	@$(BIN)/python -m tests.bench gate $(ARGS)

# Beside what a user might take instead; their packages go into .bench.
bench-peers: install
	@$(BIN)/python -m tests.bench peers $(ARGS)

# make bench-compare BASE=<commit>
bench-compare: install
	@$(BIN)/python -m tests.bench compare $(BASE) $(ARGS)

# Fails if agents that lose answers and call again deliver anything twice.
bench-agents: install
	@$(BIN)/python -m tests.bench agents $(ARGS)

# A flame graph of a loaded gateway, and its time by layer.
profile: install
	@$(BIN)/python -m tests.bench profile $(ARGS)

# Needs uv; hashes for every platform, no index addresses. What tests need bounds what runs:
# OpenTelemetry's instrumentation lags behind its SDK.
COMPILE := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header
lock:
	$(COMPILE) pyproject.toml --group dev -o requirements/dev.lock
	$(COMPILE) -c requirements/dev.lock pyproject.toml -o requirements/run.lock
	$(COMPILE) -c requirements/dev.lock --group build -o requirements/build.lock
	$(BIN)/python -m tests.support.typescript lock
	$(BIN)/python -m tests.support.npm lock mcp
	for peer in middleware dbos restate; do \
	    $(COMPILE) --python-version 3.11 tests/bench/peers/$$peer.in -o tests/bench/peers/$$peer.lock; \
	done
	$(COMPILE) --python-version 3.11 tests/flows/agents/packages.in \
	    -o tests/flows/agents/packages.lock
	$(COMPILE) --python-version 3.11 tests/connections/nanoidp/packages.in \
	    -o tests/connections/nanoidp/packages.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .coverage* .hypothesis
