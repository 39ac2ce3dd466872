# Hilum: `make` lists the verbs. Each sets up .venv first if it is missing or its lock changed.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help run test check bench clients ledger coverage clean

help: ## list the verbs
	@sed -n 's/^\([a-z]*\):.*## /\1 /p' $(MAKEFILE_LIST) | while read -r verb what; do printf '%-10s %s\n' "$$verb" "$$what"; done

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Hilum needs Python 3.11 or newer, which $(PYTHON) is not; try: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

run: $(READY) ## start a demo hub with traffic and two partners
	$(BIN)/hilum demo

test: $(READY) ## run every test
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: $(READY) ## lint, format, types, import rules, dependencies, spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python clients/python/generate.py
	$(BIN)/mypy --config-file clients/python/pyproject.toml
	$(BIN)/lint-imports
	$(BIN)/deptry src
	$(BIN)/deptry --config clients/python/pyproject.toml clients/python/src
	$(BIN)/codespell src tests benchmarks scripts clients docs .ci Makefile *.md

bench: $(READY) ## measure against the budget, the relay and peers
	$(BIN)/python benchmarks/commits.py
	$(BIN)/python benchmarks/codec.py
	$(BIN)/python benchmarks/mapping.py
	$(BIN)/python benchmarks/search.py
	$(BIN)/python benchmarks/audit.py
	$(BIN)/python benchmarks/api.py
	$(BIN)/python benchmarks/execute.py
	$(BIN)/python benchmarks/xpt.py
	$(BIN)/python benchmarks/tables.py
	$(BIN)/python benchmarks/message_path.py $(ARGS)
	$(BIN)/python benchmarks/peers.py

clients: $(READY) ## generate and build the Python and TypeScript clients
	$(BIN)/python clients/python/generate.py
	cd clients/python && ../../$(BIN)/python -m hatchling build --target wheel
	npm --prefix clients/typescript ci
	npm --prefix clients/typescript run build

ledger: $(READY) ## run the tests of the requirement ledger, write ledger.json
	$(BIN)/python scripts/ledger.py -n 2 $(ARGS)

coverage: $(READY) ## run every test and show the lines that none reached
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage report

clean: ## remove what the verbs made
	rm -rf clients/python/dist clients/typescript/node_modules clients/typescript/dist clients/typescript/build
	rm -rf .venv build dist htmlcov .coverage ledger.json .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
