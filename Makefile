# `make demo` and `make test` do their own set-up: Python 3.11 or later and make are all they need.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
# pytest's rewriting of the tests and the compiling of the sources are kept, also where the environment says no
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-all lint coverage bench docs site lock clean

demo: $(READY)
	$(BIN)/transferscope demo

test: $(READY)
	$(BIN)/pytest -n auto --dist loadfile

test-all: $(READY)
	$(BIN)/pytest -m ""

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet
	git ls-files | xargs $(BIN)/codespell
	$(BIN)/pytest -m slow tests/test_types.py

# what the default tests reach, line by line; half as long again as `make test`
coverage: $(READY)
	$(BIN)/pytest -n auto --dist loadfile --cov --cov-report=term

bench: $(READY)
	$(BIN)/python -m benchmarks

docs: $(READY)
	$(BIN)/transferscope list strategies --format markdown > docs/reference/strategies.new && mv docs/reference/strategies.new docs/reference/strategies.md
	$(BIN)/python docs/draw_architecture.py docs/explanation/architecture.svg

site: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

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
	rm -rf .venv dist site
