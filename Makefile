# What developers and CI run. The environment is made and kept up to date by itself; `make help` lists the targets.
PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Stamps say which extras are installed; they are older than these files when something has to be installed again.
REQUIREMENTS := pyproject.toml constraints.txt
# Test processes: one more than cores, since many tests wait; at most four, since each may start its own broker.
WORKERS := $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n + 1 : 4)))

.DEFAULT_GOAL := help
.PHONY: help venv install lint types test test-unit chaos demo up bench-smoke bench-rest bench-live bench-start states lock clean

help:  ## This list
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

venv: $(BIN)/pip  ## A virtual environment in .venv (PYTHON=... chooses the interpreter)

install: $(VENV)/dev.stamp  ## All extras and tools, with the versions of constraints.txt

lint: install  ## Style, formatting, and which layer imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: install  ## Type check
	$(BIN)/mypy

test: install  ## All tests; installs RabbitMQ, mongod's library, NodeJS and Java where they are missing
	./tests/setup.sh servers
	./tests/setup.sh node $(VENV)
	$(BIN)/pytest -n $(WORKERS) $(ARGS)

test-unit: install  ## Only the tests that need no server
	$(BIN)/pytest -n $(WORKERS) tests/unit $(ARGS)

chaos: install  ## Ten minutes of faults on the whole stack; prints its seed (docs/chaos.md)
	./tests/setup.sh servers
	WORKTY_CHAOS_SECONDS=$${WORKTY_CHAOS_SECONDS:-600} $(BIN)/pytest -s tests/chaos/test_storm.py $(ARGS)

demo: $(VENV)/demo.stamp  ## Runs a workflow on simulated boards, with nothing else installed
	$(BIN)/workty demo $(ARGS)

up: $(VENV)/demo.stamp  ## Starts server and simulated boards in one process (ARGS="--help" lists options)
	$(BIN)/workty up $(ARGS)

bench-smoke: install  ## Steps a second of 200 workflows on the real servers, and an idle agent's memory
	./tests/setup.sh servers
	$(BIN)/python -m tests.benchmarks.bench_smoke $(ARGS)
	$(BIN)/python -m tests.benchmarks.agent_rss

bench-rest: install  ## Requests a second of REST beside a bare Flask-RESTX resource (ARGS="5" is seconds a turn)
	./tests/setup.sh servers
	$(BIN)/python -m tests.benchmarks.bench_rest $(ARGS)

bench-live: install  ## Messages a second to 100 live clients beside a bare Flask-SocketIO (ARGS="30" is seconds)
	./tests/setup.sh servers
	$(BIN)/python -m tests.benchmarks.bench_live $(ARGS)

bench-start: install  ## What starting a step costs beside `python -c pass` (ARGS="100" is turns)
	./tests/setup.sh servers
	$(BIN)/python -m tests.benchmarks.step_start $(ARGS)

states: install  ## Writes docs/states.md from the tables of the life cycles
	$(BIN)/python -m orchestrator.runs.tables >docs/states.md

lock:  ## Writes the newest versions that fit pyproject.toml to constraints.txt
	./tests/setup.sh lock "$(PYTHON)"

clean:  ## Removes the environment and what tools left
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/pip:
	./tests/setup.sh venv "$(PYTHON)" $(VENV)

$(VENV)/dev.stamp: $(REQUIREMENTS) | $(BIN)/pip
	$(PIP) install --quiet -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/demo.stamp

$(VENV)/demo.stamp: $(REQUIREMENTS) | $(BIN)/pip
	$(PIP) install --quiet -c constraints.txt -e '.[server,board]'
	touch $@
