# `make run` and `make test` need Python 3.11+, Node with npm, and (for test) apt; everything else they install themselves.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# What is to be installed is fetched side by side.
MAKEFLAGS += --jobs=4 --no-print-directory
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Installing from a lock asks for the same files everywhere; hashes are checked by pip.
INSTALL := $(PIP) install --require-hashes -r
EDITABLE := $(PIP) install --no-build-isolation --no-deps --editable .
ARGS ?=

.PHONY: help run test test-container lint types check bench bench-restart bench-fleet dashboards lock docs clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: .cache/run .cache/live ## Start the agent with a demo Node app, live
	@echo "Look in a browser:         http://127.0.0.1:9797/"
	echo "Look in another terminal:  curl http://127.0.0.1:9797/healthz    curl http://127.0.0.1:9797/metrics"
	echo "                           .venv/bin/heapwarden top             (Ctrl-C here ends both)"
	echo "Make it move:              curl 'http://127.0.0.1:3000/leak?mib=20'    …/free, /block, /worker, /buffers"
	exec $(BIN)/heapwarden run --listen 127.0.0.1:9797 $(ARGS) -- node config/examples/demo/server.js

test: .cache/dev .cache/nodes .cache/parts .cache/live-dev lint ## Set everything up and run all tests
	@$(BIN)/pytest -n 4 --dist worksteal $(ARGS)

test-container: .cache/dev .cache/nodes ## Build the image and run it in real containers (needs root)
	@scripts/install-parts podman buildah runc catatonit debootstrap busybox-static \
	  || { echo "SKIPPED: podman can't be installed here, and no container can be run without it"; exit 0; }
	$(BIN)/pytest tests/container $(ARGS)

lint: .cache/dev ## Check style, types and layers
	@echo "ruff, mypy, import-linter"
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --quiet --check
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-logo > .cache/lint-imports.log || { cat .cache/lint-imports.log; exit 1; }

bench: .cache/dev .cache/nodes .cache/bench-parts ## Measure costs side by side and print the tables
	@for script in app_cost agent_cost scrape; do PYTHONPATH=tests $(BIN)/python benchmarks/$$script.py; done

bench-restart: .cache/dev .cache/nodes .cache/parts ## Measure restarts side by side with PM2's and print the table
	@PYTHONPATH=tests $(BIN)/python benchmarks/restart.py $(ARGS)

bench-fleet: .cache/dev .cache/bench-parts ## Measure Fleet's queries and rules at 10,000 processes, and the live page's history
	@PYTHONPATH=tests $(BIN)/python benchmarks/fleet.py $(ARGS)
	PYTHONPATH=tests $(BIN)/python benchmarks/history.py

docs: .cache/dev ## Write the generated reference pages again
	$(BIN)/python -m heapwarden.settings.reference > docs/configuration.md
	$(BIN)/python -m heapwarden.exposition.reference > docs/metrics.md

dashboards: .cache/dev ## Generate Grafana dashboards, rules and provisioning files again
	@PYTHONPATH=dashboards $(BIN)/python -m mixin

lock: .cache/dev ## Resolve the dependencies anew into requirements/
	@compile="$(BIN)/pip-compile --quiet --upgrade --strip-extras --allow-unsafe --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options --all-build-deps pyproject.toml"
	$$compile --extra top --extra dev --output-file requirements/dev.lock
	$$compile --extra top --constraint requirements/dev.lock --output-file requirements/run.lock
	$${compile/--all-build-deps /} --extra top --extra kubernetes --constraint requirements/dev.lock --output-file requirements/image.lock

clean: ## Remove everything that was installed or made here
	rm -rf .venv .cache tests/nodes/node_modules dashboards/live/node_modules agent/heapwarden/web/live .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with PYTHON=…")'
	echo "Making a virtual environment in .venv"
	$(PYTHON) -m venv .venv

.cache/run: $(BIN)/python requirements/run.lock pyproject.toml
	@echo "Installing Heapwarden and its libraries"
	$(INSTALL) requirements/run.lock
	$(EDITABLE)
	mkdir -p .cache && touch $@

.cache/dev: $(BIN)/python requirements/dev.lock pyproject.toml
	@echo "Installing what development needs"
	$(INSTALL) requirements/dev.lock
	$(EDITABLE)
	mkdir -p .cache && touch $@ .cache/run

.cache/nodes: tests/nodes/package-lock.json
	@echo "Installing Node 16 to 26 for tests"
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --prefix tests/nodes
	mkdir -p .cache && touch $@

LIVE := npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --prefix dashboards/live
BUILD_LIVE := npm run --silent --prefix dashboards/live build
LIVE_SOURCES := $(wildcard dashboards/live/*.json dashboards/live/*.mjs dashboards/live/src/* dashboards/live/src/*/*)

.cache/live: $(LIVE_SOURCES)
	@echo "Building the live page"
	$(LIVE) --omit=dev
	$(BUILD_LIVE)
	mkdir -p .cache && touch $@

.cache/live-dev: $(LIVE_SOURCES)
	@echo "Building the live page, and installing what its tests need"
	$(LIVE)
	$(BUILD_LIVE)
	mkdir -p .cache && touch $@ .cache/live

.cache/parts: scripts/install-parts
	@scripts/install-parts prometheus prometheus-alertmanager haproxy nginx-light chromium systemd curl
	mkdir -p .cache && touch $@

.cache/bench-parts: scripts/install-parts
	@scripts/install-parts prometheus wrk
	mkdir -p .cache && touch $@
