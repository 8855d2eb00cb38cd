# Every chore, from nothing but make and a Python.  `make help` lists them.

# The first of these that is new enough makes the environment; `make PYTHON=/path/to/python test` insists on one.
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Two pips at once in one environment would race, and tests use all cores by themselves: -j changes nothing.
.NOTPARALLEL:
.PHONY: help demo test lint bench docs clean

help: ## list these targets
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1	\2/p' $(MAKEFILE_LIST)

demo: $(VENV)/with-examples ## pooling schools: print what it buys and save a picture
	MPLBACKEND=Agg $(BIN)/python examples/plot_schools.py

# One thread for BLAS in each worker: more threads than cores slow small problems down many times.
test: $(VENV)/with-test ## all tests, doctests and the code in README.md and docs/
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=8 $(PYTEST_ARGS)

lint: $(VENV)/with-lint ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/with-bench ## run the benchmarks
	$(BIN)/python -m benchmarks

docs: $(VENV)/with-docs ## build docs/_build/html, gallery included
	rm -rf docs/api/generated # pages of names that are gone
	$(BIN)/sphinx-build --fail-on-warning --keep-going --jobs=auto docs docs/_build/html

clean: ## remove all that these targets made, but not .venv
	rm -rf docs/_build docs/api/generated docs/gallery build dist .coverage .mypy_cache .pytest_cache .ruff_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -prune -exec rm -rf {} +

# What an extra of pyproject.toml names, installed once and again when that file changes.
$(VENV)/with-%: pyproject.toml | $(VENV)/made
	@echo "Installing skmtl[$*] into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

$(VENV)/made:
	@for python in $(PYTHON); do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        $$python -m venv $(VENV) && touch $@; exit; \
	    fi; \
	done; \
	echo 'skmtl needs Python 3.11 or later; found none as: $(PYTHON).  Try make PYTHON=/path/to/python' >&2; exit 1

# The lower bounds of pyproject.toml as constraints for pip: the oldest environment that we promise to run in.
.ci/oldest.txt: pyproject.toml
	grep -oE '"[a-z-]+>=[0-9.]+"' $< | sed 's/"//g; s/>=/==/' | sort -u > $@
