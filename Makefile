# Every target sets its environment up by itself: .venv with exactly what requirements.lock names.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(VENV)/bootstrap/bin/uv
READY := $(VENV)/.stamp-ready
WORKERS ?= auto
GENERATED := tests/api/test_definitions.py tests/api/test_reasons_doc.py tests/core/test_lifecycle_doc.py tests/helm/test_generated.py \
	tests/kube/test_metrics_doc.py

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# Training runs on one thread each, so that results repeat and searches share the cores fairly.
export OMP_NUM_THREADS := 1

.PHONY: help demo test test-here test-cluster test-sweep test-faults test-node test-table check lint types imports unused \
	generated bench bench-gpu crds lock setup clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: $(READY) ## Run a whole search on this machine, from set-up to report.
	$(BIN)/asiarch run examples/quickstart.yaml

test: test-here test-cluster ## Run the tests: those on this machine, then those on a control plane; test-sweep, -faults, -node, -table are apart.

test-here: $(READY) ## Run what needs no cluster; core and API must be covered to the last branch.
	$(BIN)/pytest -n $(WORKERS) --dist worksteal --durations=15 -m 'not gpu and not cluster and not node and not table' --cov --cov-report=
	$(BIN)/coverage report --skip-covered --show-missing --fail-under=100

test-cluster: $(READY) ## Run searches on a real API server, with a playing kubelet; builds Kubernetes if it isn't at hand.
	$(BIN)/python -m tests.cluster.binaries
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=25 -m 'cluster and not node' tests/cluster

test-sweep: $(READY) ## Kill the operator around every write of a search, once each; half an hour.
	$(BIN)/python -m tests.cluster.sweep

test-faults: $(READY) ## Run the fault tests at full length: 20 seeds of faulty calls, long outages and silences, all planted bugs; 20 minutes.
	ASIARCH_FULL=1 $(BIN)/pytest -n 2 tests/cluster/test_noise.py tests/cluster/test_watches.py tests/cluster/test_outages.py \
		tests/cluster/test_planted.py tests/cluster/test_gateway_kills.py

test-node: $(READY) ## Run a search in pods of a real kubelet, from images built here; wants root.
	$(BIN)/pytest -m node tests/cluster/node

test-table: $(READY) ## Compile every pinned kernel for two architectures, and check that no launch compiles any; ten minutes.
	$(BIN)/pytest -m table tests/kernels

check: lint types imports unused generated ## Run every check that executes nothing; under two minutes.
	@echo 'check: all good'

lint: $(READY) ## Check style and format.
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY) ## Check types.
	$(BIN)/mypy

imports: $(READY) ## Check that imports run one way.
	$(BIN)/lint-imports

unused: $(READY) ## Look for code that nothing uses.
	$(BIN)/vulture

generated: $(READY) ## Check that what is made from the types, crds/ and parts of docs/, is up to date.
	$(BIN)/pytest -q --no-header $(GENERATED)

crds: $(READY) ## Write crds/ anew from the types.
	$(BIN)/python -m tests.api.generate
	$(BIN)/python -m tests.helm.generate
	$(BIN)/python -m tests.kube.generate

bench: $(READY) ## Print the benchmarks' tables; wants an idle machine.
	$(BIN)/python -m tests.bench.core
	$(BIN)/python -m tests.bench.pipeline
	$(BIN)/python -m tests.bench.quickstart
	$(BIN)/python -m tests.bench.kills
	$(BIN)/python -m tests.bench.blocks
	$(BIN)/python -m tests.bench.aot
	$(BIN)/python -m tests.bench.cluster

bench-gpu: $(READY) ## Measure the building blocks on a GPU, beside flash-linear-attention.
	$(BIN)/python -m tests.bench.gpu_kernels

setup: $(READY) ## Only set the environment up.

lock: $(UV) ## Write requirements.lock anew from pyproject.toml.
	$(UV) pip compile pyproject.toml --quiet --upgrade --universal --all-extras --group setup \
		--generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
		--custom-compile-command 'make lock' --output-file requirements.lock
	@! grep -n '://' requirements.lock || { echo 'requirements.lock names a host' >&2; exit 1; }

clean: ## Remove the environment and every cache; searches under runs/ stay.
	rm -rf $(VENV) dist .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find operator trainer-image kernels tests -name __pycache__ -type d -prune -exec rm -rf {} +

# uv itself comes from the lock too, checked by its hash, into a corner of its own.
$(UV):
	@command -v $(PYTHON) >/dev/null || { echo 'asiarch needs Python 3.11 to 3.14; $(PYTHON) was not found. Install it, or name one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 14) or sys.exit("asiarch needs Python 3.11 to 3.14; $(PYTHON) is %d.%d. Name another one: make PYTHON=/path/to/python3" % v)'
	@$(PYTHON) -m venv $(VENV)/bootstrap || { echo 'Python cannot create environments here; on Debian and Ubuntu install python3-venv.' >&2; exit 1; }
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/bootstrap/requirements.txt
	$(VENV)/bootstrap/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/bootstrap/requirements.txt

$(READY): requirements.lock pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(VENV)/bootstrap/bin/python $(VENV)
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
