# Every target sets up what it needs; `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
BIN := $(VENV)/bin
SANDBOX := PYTHONPATH=tests $(BIN)/python -m
# One per core: each may run a whole cluster with its visitors, and starved of processors they would measure the machine.
JOBS ?= 2
# Compiling the tests anew, for each worker, takes longer than most of them.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest
# The tests of a file share what they start; the files that take long begin first (unit comes last).
SPREAD := -n $(JOBS) --dist loadfile --no-loadscope-reorder

QUICKLY := -m "not large" --hypothesis-profile quick -p no:xdist -q
# How the code and the documents read: pure, but beside the rules, so that both processes take about as long.
READING := $(addprefix tests/unit/test_, architecture.py clock.py code.py documents.py generate.py)

# Of what takes long `make test` runs a thirtieth, chosen by the hash of a word, so that a failure is met again; any other word
# takes another (make test SHARE=30:word), and `make system`, nightly, all of it.
SHARE ?= 30:cf6c4ed

.DELETE_ON_ERROR:
.PHONY: help setup check check-install format docs golden generate lock modules unit quick quick-unit quick-rules test rig system sandbox demo state-space bench scale drill dist image publish-image clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@echo "setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(VENV)/.installed ## Make the environment (.venv) with every locked dependency.

check: setup docs ## Format, lint, types, floors, whether the generated files that need no helm are current, and the documentation.
	$(BIN)/ruff format --check operator tests tools
	$(BIN)/ruff check operator tests tools
	$(BIN)/mypy operator/aop tests tools
	$(BIN)/lint-imports
	@PYTHONPATH=tests $(BIN)/python tools/generate.py --check

format: setup ## Format the code and mend what the linter can mend.
	$(BIN)/ruff check --fix operator tests tools
	$(BIN)/ruff format operator tests tools

generate: setup ## Write crds/, docs/reference.md, the chart's derived files and, where the chart changed, deploy/manifests/ (with helm).
	@PYTHONPATH=tests $(BIN)/python tools/generate.py

docs: setup dist/site/index.html ## Build the documentation as a site into dist/site, where it has changed; whatever warns is an error.
	@echo "dist/site/index.html"

dist/site/index.html: $(VENV)/.installed mkdocs.yml tools/pages.py $(wildcard *.md) deploy/helm/aop-operator/README.md $(shell find docs -mindepth 1)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

golden: setup ## Write tests/golden anew: what a person reads at every step.
	AOP_UPDATE_GOLDEN=1 $(PYTEST) tests/integration/test_whole_life.py tests/unit/test_kubectl.py tests/unit/test_kubectl_findings.py -q

lock: setup ## Lock the dependencies of pyproject.toml with hashes.
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -o requirements/run.lock pyproject.toml
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -o requirements/dev.lock pyproject.toml --group dev

modules: ## Write the Go modules that pin what the tests run on (needs Go), after a change of tools/modules.sh.
	tools/modules.sh

unit: setup ## The pure tests: seconds.
	$(PYTEST) tests/unit $(SPREAD) -q

# Processes side by side instead of workers of one: each collects only what it runs, and tells nobody of each test.
quick: setup ## What to run after every change, about a minute: check, the pure tests, the promises of origin kinds, the small worlds of the model.
	@$(MAKE) -j $(JOBS) --output-sync=target quick-unit quick-rules check

quick-unit: setup
	$(PYTEST) tests/unit $(addprefix --ignore ,$(READING)) $(QUICKLY)

quick-rules: setup
	$(PYTEST) $(READING) tests/origin_kinds tests/model $(QUICKLY)

test: setup programs ## The README's test command: everything short, and a share of what takes long.
	$(PYTEST) tests $(SPREAD) -q --durations=25 --share $(SHARE)

rig: setup programs ## What the tests stand on, by itself: doubles, stand-in, proxies, visitors.
	$(PYTEST) tests/rig $(SPREAD) -q

system: setup programs envoy-gateway ## All that takes long: whole scenarios, every call with every fault, SIGKILL after every effect, the chart.
	$(PYTEST) tests/system tests/faults tests/install $(SPREAD) -q --durations=25

.PHONY: programs
programs: setup
	@$(SANDBOX) sandbox.kubernetes
	@$(SANDBOX) sandbox.helm
	@$(SANDBOX) sandbox.prometheus
	$(if $(AOP_REQUIRE_SERVERS),@$(SANDBOX) sandbox.envoy_gateway)

.PHONY: envoy-gateway
envoy-gateway: setup ## Build Envoy Gateway for the tests that need it: minutes, once. `make system` does it by itself.
	@$(SANDBOX) sandbox.envoy_gateway

sandbox: setup ## Start Kubernetes, ingress-nginx and Cloudflare's double; stays up until interrupted; writes .sandbox/env.
	@$(SANDBOX) sandbox

demo: setup ## The whole life of one zone, on real parts: onboard, prove, require, refuse strangers, remove. With another origin: make demo ORIGIN=nginx (or apache, haproxy, caddy, traefik, gateway)
	@$(SANDBOX) demo $(ORIGIN)

state-space: setup ## Walk the rules through every world they can meet, and through every mutant of them.
	@$(SANDBOX) model

bench: setup ## Ratios against a named baseline in the same run.
	$(PYTEST) tests/bench -q -s

scale: setup programs ## What many zones on one controller cost, with progress and a table: make scale ZONES="10 100".
	@$(SANDBOX) scale $(ZONES)

check-install: setup programs ## Install, upgrade, roll back and uninstall with Helm 3 and 4; the image's steps; least privilege. About six minutes.
	PYTHONPATH=tests $(PYTEST) tests/install $(SPREAD) -q -p sandbox.helm.summary

dist: setup ## All that a version consists of but the image, into dist/release, as a rehearsal or with IMAGE, IMAGE_DIGEST, ARCHIVES (docs/release.md).
	@PYTHONPATH=tests $(BIN)/python tools/release.py dist/release $(if $(ARCHIVES),--archives $(ARCHIVES)) $(if $(IMAGE),--image $(IMAGE)) $(if $(IMAGE_DIGEST),--image-digest $(IMAGE_DIGEST))

drill: setup ## Try Cloudflare's half on a real zone that you give up, and report where it is not as the double: make drill ZONE=... TOKEN_FILE=... [HOST=... LISTEN=...]
	@$(SANDBOX) drill $(ZONE) --token-file $(TOKEN_FILE) $(if $(filter command,$(firstword $(origin HOST))),--host $(HOST)) $(if $(LISTEN),--listen $(LISTEN))

image: ## Build the container image (needs a container engine).
	docker build --build-arg REVISION="$$(git rev-parse HEAD)" --build-arg SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct)" --build-arg VERSION=$(VERSION) --tag aop-operator:$(VERSION) .

publish-image: ## Build the image for this machine's platform with its bill of materials and provenance, and push it as IMAGE:TAG.
	docker buildx build --push --sbom=true --provenance=mode=max --build-arg BASE=$(BASE) --build-arg REVISION="$$(git rev-parse HEAD)" \
	  --build-arg SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct)" --build-arg VERSION=$(VERSION) --tag $(IMAGE):$(TAG) .

clean: ## Remove the environment and everything that tests left here.
	rm -rf $(VENV) .sandbox .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist
