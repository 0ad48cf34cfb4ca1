# The one-word commands; `make help` lists them. Each sets up what it needs.
.DEFAULT_GOAL := help
.PHONY: help install sweep serve test test-long cluster-test ui server lint format docs benchmarks clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.installed-docs
EXTRAS := .[dev,server,benchmarks,export-litert,export-onnx,ray]

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP)  ## make .venv with everything pinned (uv where it is there, else pip)

# uv compiles no bytecode unless told, and the libraries here take three times as long to import without it.
# The TensorFlow of constraints.txt is built for Python 3.10 to 3.13.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12"; exit 2; }
	@echo "Installing into $(VENV); the libraries are large, so this takes some minutes."
	@if command -v uv >/dev/null 2>&1; then \
		uv venv -q --allow-existing --python "$(PYTHON)" $(VENV) && \
		VIRTUAL_ENV=$(VENV) uv pip install -q --compile-bytecode -c constraints.txt -e '$(EXTRAS)'; \
	else \
		$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install -q -c constraints.txt -e '$(EXTRAS)'; \
	fi
	@touch $@

$(DOCS_STAMP): $(STAMP)
	@if $(BIN)/python -c 'import sphinx, myst_parser, furo' 2>/dev/null; then :; \
	elif command -v uv >/dev/null 2>&1; then \
		VIRTUAL_ENV=$(VENV) uv pip install -q --compile-bytecode -c constraints.txt -e '.[docs]'; \
	else \
		$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'; \
	fi
	@touch $@

sweep: install  ## run the Bayesian sweep on MNIST
	$(BIN)/mnist-search sweep bayesian

PYTEST := $(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder
LONG := cluster or server or fault

test: install  ## run the tests, but for those of clusters, servers and faults
	$(PYTEST) -m "not ($(LONG))"

# One after the other: each starts processes of its own, and waits for them.
test-long: install  ## run the tests of clusters, servers and faults
	$(BIN)/python -m pytest -m "$(LONG)"

cluster-test: install  ## run the tests on several hosts, made of network namespaces
	$(BIN)/python -m pytest -m cluster tests/cluster

serve: install  ## serve the champion: a page to draw on, and an HTTP service
	$(BIN)/mnist-search serve

ui: install  ## open the MLflow UI on the store
	$(BIN)/mnist-search ui

server: install  ## run an MLflow server on PostgreSQL, for trying; ARGS="--help" lists its options
	@$(BIN)/python -m tools.server $(ARGS)

lint: install  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install  ## let ruff correct the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS_STAMP)  ## build the site of these pages in build/docs; every warning is an error
	$(BIN)/python -m sphinx -W --keep-going -n -q -b html docs build/docs

benchmarks: install  ## repeat the measurements of docs/benchmarks.md but accuracies and pruners
	$(BIN)/python benchmarks/epoch.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/workers.py
	$(BIN)/python benchmarks/cnn_epoch.py
	$(BIN)/python benchmarks/preprocessing.py
	$(BIN)/python benchmarks/http_service.py
	$(BIN)/python benchmarks/service_runtimes.py

clean:  ## remove what the set-up and the tools made; mlruns is kept
	rm -rf $(VENV) *.egg-info build .pytest_cache .mypy_cache .ruff_cache .hypothesis
