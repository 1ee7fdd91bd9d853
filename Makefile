# AREA. `make` lists what can be done; `make dev` runs everything on this machine, with nothing installed but Python.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
# The locked pip, put there by the one that Python brings: it takes half the time. What is never imported is never compiled.
INSTALL := install --quiet --disable-pip-version-check --no-deps --no-compile
NOT_INSTALLED := Installing the requirements failed; the lines above name the package. No network: mend it and run make again. \
	No wheel for this system and no compiler: install gcc and the Python headers (on Debian: build-essential python3-dev).
.DEFAULT_GOAL := help
# Where it is set, each process would compile everything anew at its start, on and on.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help dev demo test check lint types imports drift bench chaos migrate schema clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r name text; do \
		printf '  \033[36m%-9s\033[0m %s\n' "$$name" "$$text"; done

$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	@python=; for candidate in python3.13 python3.12 python3.11 python3; do \
		if command -v $$candidate >/dev/null 2>&1 && \
			$$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			python=$$candidate; break; fi; done; \
	if [ -z "$$python" ]; then \
		echo 'AREA needs Python 3.11 or newer with its venv module: install python3.11 (on Debian also python3.11-venv), then run make again.' >&2; \
		exit 1; fi; \
	if [ -x $(BIN)/python ] && ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then rm -rf $(VENV); fi; \
	echo "Setting up $(VENV) with $$python: once, about a minute."; \
	bundled=$$($$python -c 'import ensurepip, pathlib; print(*pathlib.Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl"))'); \
	[ -x $(BIN)/python ] || $$python -m venv $${bundled:+--without-pip} $(VENV); \
	awk '/^[^ ]/ { n++; wanted = /^pip==/ } { print > ("$(VENV)/" (wanted ? "pip" : "half-" n % 2) ".txt") }' requirements.txt requirements-dev.txt; \
	if [ -n "$$bundled" ]; then pip="$$bundled/pip"; else pip='-m pip'; fi; \
	$(BIN)/python $$pip $(INSTALL) --require-hashes -r $(VENV)/pip.txt || { echo '$(NOT_INSTALLED)' >&2; exit 1; }
	@# Dealt out to two installers, for two cores.
	@$(BIN)/python -m pip $(INSTALL) --require-hashes -r $(VENV)/half-0.txt & first=$$!; \
	$(BIN)/python -m pip $(INSTALL) --require-hashes -r $(VENV)/half-1.txt; second=$$?; \
	wait $$first && [ $$second -eq 0 ] && $(BIN)/python -m pip $(INSTALL) --no-build-isolation -e . || { echo '$(NOT_INSTALLED)' >&2; exit 1; }
	@touch $@

dev: $(STAMP) ## Run everything here: API, worker, scheduler, Postgres, Redis
	@exec $(BIN)/area dev

demo: $(STAMP) ## Tell a whole story live, with stand-ins for Twitch, Discord and mail
	@exec $(BIN)/python -m tests.e2e.mission

test: $(STAMP) ## Run the tests
	@$(BIN)/python -m pytest --cov=area --cov-report=term:skip-covered

check: lint types imports drift ## Lint, types, import direction, schema drift

lint: $(STAMP) ## Lint and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP)
	@$(BIN)/mypy

imports: $(STAMP)
	@$(BIN)/lint-imports

drift: $(STAMP)
	@$(BIN)/area schema --check
	@$(BIN)/area schema --breaking

bench: $(STAMP) ## Measure throughput and latency
	@$(BIN)/python -m benchmarks.run

chaos: $(STAMP) ## Kill, freeze and cut off everything under load; ARGS=--quick for less
	@$(BIN)/python -m chaos $(ARGS)

migrate: $(STAMP) ## Bring the database at AREA_DATABASE_URL to this version
	@$(BIN)/area migrate

schema: $(STAMP) ## Write schema.graphql from the code
	@$(BIN)/area schema > schema.graphql.new && mv schema.graphql.new schema.graphql

clean: ## Remove the virtual environment and caches; data under .area stays
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
