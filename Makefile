# make study    everything from a fresh clone to a report        make test    lint, types and tests
# pip reads its own settings (index, proxy, cache) from its usual places; nothing here overrides them.

PYTHON ?= python3
VENV   ?= .venv
STUDY  ?= fusion_study
# A study's further arguments, as in: make study STUDY_ARGS="--dry-run"
STUDY_ARGS  ?=
# pytest's further arguments, as in: make test PYTEST_ARGS="-k ledger -x"
PYTEST_ARGS ?=
# Test files that run side by side.
TEST_WORKERS ?= 2

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# What pip says, less all but its large downloads; its warnings and errors pass by on stderr.
LARGE := $(BIN)/python -uc 'import re, sys; [print("  ", m[1], m[2]) for line in sys.stdin if (m := \
  re.match(r"\s*Downloading (?:\S*/)?([^-/ ]+)\S* \((\d\d+(?:\.\d+)? MB|.* GB)\)", line))]'
# One thread a process: the studies' slots and the tests share the cores among themselves.
TEST_ENV := OMP_NUM_THREADS=1 RAY_USAGE_STATS_ENABLED=0
# A file's tests stay in one process, so that what they share is made once.
SIDE_BY_SIDE = -n $(TEST_WORKERS) --dist loadfile

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help study smoke test check lint test-slow test-studies test-fault test-browser test-cluster \
        test-cluster-smoke audit bench wheel constraints clean-env \
        python-version

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' \
	  | awk -F'|' '{printf "  make %-14s %s\n", $$1, $$2}'

python-version:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "vidclass needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1 | head -1)." >&2; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }

# The stamps keep the environment until what it is made of changes.
$(BIN)/python: | python-version
	@echo "== making the environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "== installing vidclass and what it needs (minutes the first time: PyTorch is large)"
	@$(PIP) install --progress-bar off -e . -c constraints.txt | $(LARGE)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "== installing the developers' tools"
	@$(PIP) install --progress-bar off -e '.[dev]' -c constraints.txt | $(LARGE)
	@touch $@

study: $(VENV)/.installed  ## environment, data set, sweep and report (STUDY=fusion_study)
	@$(BIN)/python -m vidclass.sweep $(STUDY) $(STUDY_ARGS)

smoke: $(VENV)/.installed  ## the whole path of a study in about a minute
	@$(BIN)/python -m vidclass.sweep $(STUDY) --smoke $(STUDY_ARGS)

lint: $(VENV)/.installed-dev  ## ruff and mypy
	@echo "== ruff" && $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "== mypy" && $(BIN)/mypy

test: lint  ## lint, types and the default tests
	@echo "== pytest" && $(TEST_ENV) $(BIN)/python -m pytest $(SIDE_BY_SIDE) $(PYTEST_ARGS)

check: lint  ## lint, types and the tests that start no Ray: under two minutes
	@echo "== pytest, without Ray" && $(TEST_ENV) $(BIN)/python -m pytest -q $(SIDE_BY_SIDE) \
	  -m "not ray and not slow and not cluster and not fault and not browser" $(PYTEST_ARGS)

test-slow: $(VENV)/.installed-dev  ## the tests that take tens of seconds each
	@echo "== pytest, slow tier" && $(TEST_ENV) $(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

test-studies: $(VENV)/.installed-dev  ## --smoke of every study of sweeps/, to its report
	@echo "== pytest, studies" && $(TEST_ENV) $(BIN)/python -m pytest -m slow --durations=0 \
	  tests/sweep/test_smoke_of_every_study.py $(PYTEST_ARGS)

test-fault: $(VENV)/.installed-dev  ## the tests that kill drivers and trials in mid-study
	@echo "== pytest, fault tier" && $(TEST_ENV) $(BIN)/python -m pytest -m fault $(PYTEST_ARGS)

test-browser: $(VENV)/.installed-dev  ## reports and MLflow's pages in a real browser (Debian's chromium)
	@echo "== pytest, browser tier" && $(TEST_ENV) $(BIN)/python -m pytest -m browser $(PYTEST_ARGS)

test-cluster: $(VENV)/.installed-dev  ## clusters on namespaced hosts (root; sshd and rsync installed)
	@echo "== pytest, cluster tier" && $(TEST_ENV) $(BIN)/python -m pytest -m cluster -rs $(PYTEST_ARGS)

test-cluster-smoke: $(VENV)/.installed-dev  ## the smallest part of it: machines of one's own
	@echo "== pytest, cluster smoke" && $(TEST_ENV) $(BIN)/python -m pytest -m "cluster and smoke" -rs $(PYTEST_ARGS)

audit: $(VENV)/.installed  ## known holes of the pinned packages (asks the index; needs the network)
	@$(PIP) install -q 'pip-audit>=2.7' -c constraints.txt
	@$(BIN)/python -m pip_audit --strict --no-deps --disable-pip --progress-spinner off -r constraints.txt

bench: $(VENV)/.installed  ## every benchmark: a table each, and JSON beside it (make study first)
	@failed=""; for name in build index start epoch augment memory study statistics_acceptance; do \
	  echo "== $$name"; $(BIN)/python "benchmarks/$$name.py" || failed="$$failed $$name"; done; \
	  $(BIN)/python benchmarks/table.py; \
	  if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

wheel: $(VENV)/.installed-dev  ## dist/: the wheel and the tested versions, for every node of a cluster
	@rm -f dist/vidclass-*.whl && $(BIN)/python -m hatchling build -t wheel -d dist && cp constraints.txt dist/

constraints: $(VENV)/.installed-dev  ## write constraints.txt from the environment
	@{ head -2 constraints.txt; $(PIP) freeze --exclude-editable \
	  | sed -E 's/\+[A-Za-z0-9.]+$$//' | grep -viE '^(nvidia-|cuda-|triton==|setuptools=)'; } \
	  > constraints.txt.new && mv constraints.txt.new constraints.txt

clean-env:  ## remove the environment (your studies in VIDCLASS_HOME stay)
	@rm -rf $(VENV)
