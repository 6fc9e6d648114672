# Everything a person or a CI job runs. A fresh machine needs Python and make only.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# The peers have an environment of their own: they are large, and PyTensor asks for an older llvmlite.
BENCH  := .venv-bench
PEERS  := torch jax pytensor
# PyTorch without CUDA, where PyPI's has it; the other packages come from where pip looks anyway.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
ARGS   ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help env demo test check fix campaign bench clean

help: ## List the targets (the default)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

env: $(STAMP) ## Make .venv and install symgrad in it, editable, with the extras dev and examples
	@:

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing symgrad (editable) with the extras dev and examples"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[dev,examples]'
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests/' $(VENV) || true # on all cores; pip's takes one
	@touch $@

demo: $(STAMP) ## Train a small network on handwritten digits
	@$(BIN)/python examples/digits_mlp.py

test: $(STAMP) ## Run the tests and doctests, all but the campaigns
	@$(BIN)/python -m pytest -q -n auto --dist worksteal

check: $(STAMP) ## Format check, lint, types, tests; edits nothing
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(MAKE) --no-print-directory test

fix: $(STAMP) ## Format, and apply the linter's safe fixes
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

campaign: $(STAMP) ## Run the long, randomised tests (minutes)
	@SYMGRAD_TEST_PROFILE=campaign $(BIN)/python -m pytest -q -m campaign

bench: $(BENCH)/.installed ## Measure beside JAX, PyTorch, PyTensor, NumPy (ARGS="scalar --quick" for less)
	@$(BENCH)/bin/python benchmarks/run.py $(ARGS)

$(BENCH)/.installed: pyproject.toml
	@test -x $(BENCH)/bin/python || { echo "making $(BENCH)"; $(PYTHON) -m venv $(BENCH); }
	@echo "installing symgrad (editable) and the peers of the extra bench: $(PEERS)"
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --editable . 'matplotlib>=3.9.2'
	@for peer in $(PEERS); do \
	  index=; test $$peer = torch && index="--extra-index-url $(TORCH_INDEX)"; \
	  $(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check $$index $$peer || \
	    echo "$$peer could not be installed: the tables will name it (rm -r $(BENCH) to try again)"; \
	done
	@touch $@

clean: ## Remove the environment, caches and build products
	@rm -rf $(VENV) $(BENCH) benchmarks/results build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find symgrad compiler runtime tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
