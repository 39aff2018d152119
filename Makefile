# Everything a person or a machine types. Each target sets up .venv when it is missing or stale.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OTHERS := $(VENV)/others
TESTED := -m "not crosscheck and not hardware"

.PHONY: demo once-more test test-all check bench clean setup
.DEFAULT_GOAL := demo

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) (a few minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/labctl demo

test: $(STAMP)
	QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest -q -n 3 --dist loadfile || $(MAKE) --no-print-directory once-more

# What failed beside others that starved it has a second chance alone; what fails then is broken.
once-more: $(STAMP)
	@echo "Once more, one at a time, what failed:"
	QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none

test-all: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,crosscheck]'
	QT_QPA_PLATFORM=offscreen PYBAMM_DISABLE_TELEMETRY=true $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not hardware" --timeout 1800

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

bench: $(STAMP) $(OTHERS)/.installed
	$(BIN)/python -m benchmarks --write docs/benchmarks.md

# The tools labctl is measured beside; where they cannot be had, the rows say so.
$(OTHERS)/.installed: benchmarks/others/requirements.txt
	@echo "Setting up $(OTHERS), the tools to measure beside (a few minutes the first time) ..."
	@{ test -x $(OTHERS)/bin/python || $(BIN)/python -m venv $(OTHERS); } \
		&& $(OTHERS)/bin/python -m pip install --quiet --disable-pip-version-check -r $< \
		&& touch $@ || echo "Without them: see above."

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
