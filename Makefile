# `make demo` and `make test` do their own set-up: Python 3.11 or later and make are all they need.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test test-all lint bench docs lock clean

demo: $(READY)
	$(BIN)/transferscope demo

test: $(READY)
	$(BIN)/pytest -n auto --dist loadfile

test-all: $(READY)
	$(BIN)/pytest -m ""

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet
	$(BIN)/pytest -m slow tests/test_types.py

bench: $(READY)
	$(BIN)/python -m benchmarks

docs: $(READY)
	$(BIN)/transferscope list strategies --format markdown > docs/strategies.new && mv docs/strategies.new docs/strategies.md

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# versions and hashes alone: whoever installs takes them from the index of their choice
lock: $(READY)
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev \
		--output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv dist
