# Nothing has to be installed first: run, test and lint set up .venv and local/node_modules.

BIN := .venv/bin

.PHONY: help run test soak lint bench app-package setup clean
.DEFAULT_GOAL := help

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## Run the app with a chat to look at; with ONCE=1, send one alert and exit
	@$(BIN)/python -m local run $(if $(filter-out 0,$(ONCE)),--once)

test: lint ## Check style and types, and run the tests
	@echo "Running the tests ..."
	@$(BIN)/pytest -n 2 --dist loadfile

soak: setup ## Run what takes long: storms, ten thousand people, the pace in real time
	@echo "Running what takes long, some 20 minutes ..."
	@$(BIN)/pytest -m soak -v --durations 0

lint: setup ## Check style, types and which module imports which
	@echo "Checking style ..."
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@echo "Checking types ..."
	@$(BIN)/mypy
	@echo "Checking imports ..."
	@$(BIN)/lint-imports

bench: setup ## Measure what a message costs; with QUICK=1, roughly and in a minute
	@$(BIN)/python -m benchmarks $(if $(filter-out 0,$(QUICK)),--quick)

app-package: ## Zip the Teams app; BOT_ID=... is the bot's app id, HOST=... has the owner's pages
	@$(or $(PYTHON),python3) appPackage/build.py "$(BOT_ID)" "$(if $(findstring command,$(origin HOST)),$(HOST))"

setup: ## Install what is missing or has changed; PYTHON=python3.12 chooses the interpreter
	@PYTHON="$(PYTHON)" bash local/setup.sh

clean: ## Remove all that was installed or made here
	@rm -rf .venv benchmarks/.venv-agents local/node_modules .local .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
