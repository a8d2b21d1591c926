# make help lists the targets; each sets up what it needs by itself
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
JOBS ?= auto

.PHONY: help packages setup setup-test run test test-long test-mutants check docs results golden image

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

packages:
	@$(PYTHON) install.py run

setup: packages ## a .venv with what running needs, and the default model's weights
	@$(BIN)/python -m clinspan.lms.weights

setup-test: ## the same with what the tests need
	@$(PYTHON) install.py test
	@$(BIN)/python -m clinspan.lms.weights

run: packages ## the main job; make run ARGS="model=... strategy=..." passes overrides; it fetches missing weights itself
	$(BIN)/python -m programs.run $(or $(ARGS),program=bundled)

test: setup-test ## all tests but the long ones, in one process a core
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

test-long: setup-test ## the long tests; CLINSPAN_LONG=2/8 runs the third eighth of them
	CLINSPAN_LONG=$${CLINSPAN_LONG:-all} $(BIN)/python -m pytest -m long

test-mutants: setup-test ## mutation tests; make test-mutants ARGS="sample=60 modules=metrics/counts.py" runs some of them
	$(BIN)/python tests/mutants/run.py $(ARGS)

check: setup-test ## ruff, mypy, import-linter, doctests
	$(BIN)/ruff check .
	$(BIN)/ruff check --preview --select PLW1514 . # no file is opened without its encoding
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q --doctest-modules install.py clinspan benchmarks

docs: ## the pages of docs/ as a site, in site/
	@$(PYTHON) install.py docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

results: setup-test ## make the figures of docs/results.md that are missing; make results ARGS="only=strategies"
	$(BIN)/python -m benchmarks.results $(ARGS)

golden: setup-test ## rewrite the golden prompts after a change that was meant
	$(BIN)/python -m pytest -q tests/programs/formats/test_golden_prompts.py --rewrite-golden

image: ## a container image, clinspan:latest
	docker build --tag clinspan .
