# `make demo` runs the main job on a real cluster; `make test` passes every test. Both set up what they need first.
SHELL := /bin/bash
# Some images set it; every process that tests start would compile all of its modules.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header
# Most tests wait more than they compute: so many processes run beside each other, whatever the machine. A file's tests stay in one.
WORKERS ?= 3
ALL_WORKERS ?= 4
FILES := --dist loadfile --no-loadscope-reorder
BESIDE := -n $(WORKERS) $(FILES)
# What the type checker knows of unchanged files, for a fresh clone too.
MYPY_CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mistral-voice-operator/mypy
# Of tests on a real node each process waits for pods nearly all the time.
NODE_WORKERS ?= 4

.DEFAULT_GOAL := help
.PHONY: help venv lock generate lint unit spoken browser conformance-core conformance api ledger built prepared e2e meanwhile computed test demo demo-down bench clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=/path/to/python3.") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing about 110 Python packages into $(VENV) (one to three minutes, once) …"
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

venv: $(VENV)/.installed ## the Python environment with every dependency, from the hashed locks

lock: ## write the hashed requirement files anew from pyproject.toml
	test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/pip install --quiet uv; }
	$(COMPILE) pyproject.toml -o requirements.txt
	$(COMPILE) pyproject.toml --extra live -c requirements.txt -o requirements-demo.txt
	$(COMPILE) pyproject.toml --extra dev -c requirements-demo.txt -o requirements-dev.txt
	$(COMPILE) --group build -c requirements-dev.txt -o requirements-build.txt
	$(COMPILE) --group conformance -o requirements-conformance.txt
	cd tests/conformance/js && npm install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund

generate: venv ## write the generated files (crds/, the chart's copy of them, docs/reference.md, the detection's model)
	$(BIN)/python -m mistral_voice.contract.crd
	$(BIN)/python -m mistral_voice.contract.reference
	$(BIN)/python -m tests.models.silero

lint: venv ## formatting, lint, types and import directions
	$(BIN)/ruff format --check operator tests
	$(BIN)/ruff check operator tests
	$(BIN)/mypy --cache-dir $(MYPY_CACHE)
	$(BIN)/python -m mistral_voice.contract.crd --check
	$(BIN)/python -m mistral_voice.contract.reference --check
	$(BIN)/python -m tests.models.silero --check
	$(BIN)/yamllint --strict -d '{extends: relaxed, rules: {line-length: disable, indentation: disable}}' crds

unit: venv ## tests that need nothing but Python
	$(BIN)/pytest $(BESIDE) tests/unit tests/fuzz

conformance-core: venv ## tests with the clients of `openai` and `@openai/agents-realtime`
	$(BIN)/python -m tests.conformance
	$(BIN)/pytest -n $(WORKERS) tests/conformance

conformance: venv ## these, and `openai-agents`, `pipecat-ai` and `livekit-agents`
	$(BIN)/python -m tests.conformance --all
	$(BIN)/pytest -n $(WORKERS) tests/conformance --clients all

spoken: venv ## what is spoken and heard in real time: a dialogue, and a browser's microphone
	$(BIN)/python -m tests.cluster browser
	$(BIN)/pytest -n 2 -m spoken tests/conversation tests/browser

browser: built ## tests with a browser
	$(BIN)/python -m tests.cluster browser
	$(BIN)/pytest -n $(WORKERS) -m "not spoken" tests/browser

api: built ## tests against a real kube-apiserver, without nodes
	$(BIN)/pytest $(BESIDE) tests/api tests/chart

ledger: venv ## the ledger's tests on a real PostgreSQL
	$(BIN)/pytest tests/ledger

built: venv ## the programs that test clusters are made of (a quarter of an hour, once)
	$(BIN)/python -m tests.cluster build

prepared: venv ## the programs and images that tests on a real node need
	$(BIN)/python -m tests.cluster kind prepare
	$(BIN)/python -m tests.cluster image --target demo --tag localhost/mistral-voice-operator:demo

e2e: venv ## tests on a real node
	$(BIN)/python -m tests.cluster kind prepare
	$(BIN)/pytest -n $(NODE_WORKERS) --dist loadgroup --no-loadscope-reorder tests/e2e --timeout 1500

# Who listens in real time mostly waits: beside that, what only computes has the time that is left.
meanwhile: venv
	nice -n 19 $(MAKE) prepared ledger

computed: built # what waits for nothing that is spoken, in one run: a process that has done its part takes another's
	$(BIN)/python -m tests.conformance
	$(BIN)/python -m tests.cluster browser
	$(BIN)/pytest -n $(ALL_WORKERS) $(FILES) -m "not spoken" tests/api tests/chart tests/browser tests/conformance tests/fuzz tests/unit

test: venv ## everything
	$(MAKE) lint computed
	$(MAKE) -j2 --output-sync=line spoken meanwhile
	$(MAKE) e2e

demo: venv ## a cluster, the operator, an integration, and a spoken question with its spoken answer
	$(BIN)/python -m tests.demo up

demo-down: venv ## remove all that the demo made
	$(BIN)/python -m tests.demo down

NAME ?=
bench: venv ## all benchmarks, or one: make bench NAME=operator-apply
	@$(BIN)/python -m tests.bench $(NAME)

clean: ## remove the virtual environment and caches of the tools (not the built Kubernetes binaries)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
