# make help lists what there is; setup happens by itself
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
STAMP := $(VENV)/.installed

.PHONY: help setup weights run test check golden image

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,fuzz,hpo,mlflow,otel,ray,serving,sweep]'
	touch $(STAMP)

weights: $(STAMP)
	@$(BIN)/python -m lms.weights

setup: $(STAMP) weights ## a .venv with everything from constraints.txt, and the default model's weights

run: setup ## the main job; make run ARGS="model=... strategy=..." passes overrides
	$(BIN)/python -m programs.run $(ARGS)

test: setup ## all tests
	$(BIN)/python -m pytest

check: $(STAMP) ## ruff, mypy, import-linter, doctests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q --doctest-modules corpora lms metrics programs reports retrievers tuning

golden: $(STAMP) ## rewrite the golden prompts after a change that was meant
	$(BIN)/python -m pytest -q tests/programs/test_golden_prompts.py --rewrite-golden

image: ## a container image, clinspan:latest
	docker build --tag clinspan .
