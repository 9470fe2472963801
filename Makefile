# Two commands need nothing but python3 (3.11 or newer) and make:
#
#   make demo    the environment, then the shipped recipe "digits", into runs/digits
#   make test    the environment with the test tools, then every check there is
#
# make docs builds the documentation into site/.
#
# PYTHON chooses the interpreter (make demo PYTHON=python3.12), VENV the folder of the environment, and PIP_OPTIONS is
# handed to every pip install.

PYTHON ?= python3
VENV ?= .venv
PIP_OPTIONS ?=

BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet $(PIP_OPTIONS)
# Stamps: what is installed was installed from the pyproject.toml that is here, so it is not installed again.
INSTALLED := $(VENV)/.installed
TESTABLE := $(VENV)/.testable

.DEFAULT_GOAL := demo
.PHONY: demo test tested docs install check types collect unit format clean

demo: $(INSTALLED)
	$(BIN)/attar compress digits --out runs/digits

# The type checker uses one core, and tests wait now and then: for a lock, for a process that begins. So it goes on beside
# them, after the checks that are over in seconds.
test: $(TESTABLE)
	$(MAKE) check
	$(MAKE) --jobs=2 types tested

tested: collect
	$(MAKE) unit

docs: $(TESTABLE)
	$(BIN)/python -m sphinx -W --keep-going -q docs site

# The environment with the test tools, to work in.
install: $(TESTABLE)

check: $(TESTABLE)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(TESTABLE)
	$(BIN)/mypy

# Every test file is imported once before several processes import all of them: they find compiled what each would
# compile, which takes longer than the import itself. What cannot be imported, "unit" tells.
collect: $(TESTABLE)
	@$(BIN)/pytest --collect-only -qqq >/dev/null || true

# One process for each core and one thread for each process: torch's threads wait by spinning. The tests of a file stay
# together, since they share what is dear to make, and come in the order of tests/conftest.py.
unit: $(TESTABLE)
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

format: $(TESTABLE)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build site

define NEW_ENVIRONMENT
@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Attar needs Python 3.11 or newer; this is %d.%d. Name another: make PYTHON=python3.12" % sys.version_info[:2])'
@echo "Installing Attar and what it needs into $(VENV): some minutes, once."
@$(PYTHON) -m venv $(VENV)
endef

$(INSTALLED): pyproject.toml
	$(NEW_ENVIRONMENT)
	@$(PIP_INSTALL) --editable '.[openvino]'
	@touch $@

# All at once, as what is installed at a time is chosen and looked up together. Dependency groups need pip 25.1, and
# Python brings an older one.
$(TESTABLE): pyproject.toml
	$(NEW_ENVIRONMENT)
	@$(PIP_INSTALL) --upgrade 'pip>=25.1'
	@$(PIP_INSTALL) --editable '.[openvino]' --group dev
	@touch $(INSTALLED) $@
