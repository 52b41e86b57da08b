# make help | setup | demo | test | test-light | docs | lint | mutants | zoo | tables | experiments | hil | soak | golden | lock | bench | stop | clean
#
# Everything is installed into .venv from lock files with exact versions and hashes; Debian packages are installed only
# when one is missing. Stamps inside .venv make a second run quick. PYTHON=python3.12 picks another interpreter.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMPS := $(VENV)/.stamps
DEMO_BUNDLE ?= fashion-mnist-48
DEMO_BOARD ?= qemu-stm32f405
DEMO_COUNT ?= 200
BENCH_MODELS ?=
MUTANTS ?=
ZOO ?= fashion-mnist-96 fashion-mnist-48 fashion-mnist-24 fashion-mnist-limitnet mnist-12 stamps-48 stamps-detect scenes-multires focus-lamsc scenes-tokens
DOCTESTS := host/semflash/settings.py host/semflash/bundle host/semflash/link host/semflash/edge \
    host/semflash/firmware host/semflash/hil host/semflash/program host/semflash/channels host/semflash/outputs \
    host/semflash/monitor host/semflash/report host/semflash/training/teaching/names.py codegen/semflash_codegen

.DEFAULT_GOAL := help
.PHONY: help setup setup-test packages packages-test demo test test-light docs lint zoo tables experiments golden lock bench hil soak mutants stop clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | while IFS= read -r line; do \
	    printf '  make %-12s %s\n' "$${line%%:*}" "$${line##*## }"; done

packages:  ## install the Debian packages that are missing (toolchain, emulator, data)
	@bash requirements/debian_packages.sh

# The venv is made again when it belongs to an interpreter that is gone.
$(STAMPS)/venv:
	@bash requirements/debian_packages.sh
	@echo "== virtual environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "semflash needs Python 3.11 or later; this is $$($(PYTHON) --version). Set PYTHON=..." >&2; exit 1; }
	@$(PY) -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/base: $(STAMPS)/venv requirements/base.lock pyproject.toml
	@echo "== Python packages of requirements/base.lock"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/base.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "== PlatformIO without its registry"
	@$(PY) -m semflash.firmware.bootstrap
	@$(PY) -m semflash.bench.cycles.plugin
	@touch $@

$(STAMPS)/test: $(STAMPS)/base requirements/test.lock requirements/torch.lock requirements/docs.lock
	@echo "== Python packages of requirements/test.lock (TensorFlow among them)"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/test.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/torch.lock 2>/dev/null || \
	    echo "== torch's CPU build cannot be had here: what torch exports is tested on files made before"
	@touch $@

setup: packages $(STAMPS)/base  ## install what building, flashing and monitoring need
	@echo "== ready: $(VENV)/bin/semflash --help"

packages-test:
	@bash requirements/debian_packages.sh test

setup-test: packages packages-test $(STAMPS)/test  ## the same plus TensorFlow and the test tools

demo: setup  ## encode 200 images on the emulated board, with and without bit errors
	@bash requirements/demo.sh $(VENV)/bin/semflash $(DEMO_BUNDLE) $(DEMO_BOARD) $(DEMO_COUNT)

test: setup-test lint  ## lint, type checks and all tests that need no hardware
	@echo "== examples in docstrings"
	@$(PY) -m pytest --quiet --doctest-modules $(DOCTESTS)
	@echo "== pytest"
	@$(PY) -m pytest -m "not slow" -n 2 --dist loadfile
	@echo "== a minute of fuzzing"
	@$(PY) -m pytest -m slow tests/fuzz

# Another interpreter has a virtual environment of its own, without TensorFlow and without boards.
LIGHT := .cache/light-$(notdir $(PYTHON))
test-light:  ## the tests that need no TensorFlow and no emulator, with PYTHON=python3.12 or another
	@$(PYTHON) -m venv $(LIGHT)
	@$(LIGHT)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/base.lock
	@$(LIGHT)/bin/pip install --quiet --disable-pip-version-check -r requirements/light.txt
	@PYTHONPATH=host:codegen:tests:. $(LIGHT)/bin/python -m pytest -q -p no:cacheprovider $$(cat requirements/light_tests.txt)

docs: setup-test  ## the docs site, build/site/index.html, which opens offline
	@$(PY) -m mkdocs build --quiet
	@echo "== build/site/index.html"

lint: setup-test  ## ruff and mypy
	@echo "== ruff, mypy"
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@MYPYPATH=host:codegen:tests:benchmarks $(PY) -m mypy benchmarks experiments tests/soak tests/fuzz tests/kill tests/mutants protocol

bench: setup-test  ## measure encoders on the emulated board, write docs/benchmarks.md (TFLM: set SEMFLASH_TFLM_DIR)
	@$(PY) benchmarks/device_cost.py --board $(DEMO_BOARD) $(BENCH_MODELS)
	@$(PY) benchmarks/cycle_estimates.py $(BENCH_MODELS)

soak: setup-test  ## a million frames through every fault at once, ten minutes of faults on the emulated board, kills
	@PYTHONPATH=tests $(PY) tests/soak/link_frames.py --frames 1000000
	@PYTHONPATH=tests $(PY) tests/soak/emulated_board.py --minutes 10
	@PYTHONPATH=tests $(PY) tests/soak/kills.py --kills 60

mutants: setup-test  ## change 300 lines one at a time and see whether a test notices (an hour or more; MUTANTS: options)
	@$(PY) tests/mutants/run.py $(MUTANTS)

hil: setup-test  ## check every board of HIL_MAP (default: the emulated one) from build to budget
	@$(VENV)/bin/semflash hil $(if $(HIL_MAP),--map $(HIL_MAP))

experiments: setup-test  ## do the missing runs of both budgets (hours), then write docs/experiments.md
	@$(PY) experiments/run.py --jobs 2
	@$(PY) experiments/rate_table.py
	@$(PY) experiments/tables.py

golden: setup-test  ## renew the golden text of the generated C (tests compare with it)
	@$(PY) tests/codegen/fused/make_golden.py

zoo: setup-test  ## train the zoo's bundles again (hours)
	@bash requirements/zoo.sh $(VENV)/bin/semflash $(ZOO)

tables: setup  ## write the measured tables of README.md, docs/results.md and docs/zoo.md
	@$(PY) benchmarks/tables.py
	@$(PY) benchmarks/zoo_cards.py

lock:  ## renew the lock files from pyproject.toml
	@$(PYTHON) -m venv .cache/lock-venv
	@.cache/lock-venv/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	@bash requirements/make_locks.sh .cache/lock-venv/bin/uv

stop:  ## stop every emulated board
	@test ! -x $(VENV)/bin/semflash || $(VENV)/bin/semflash boards --stop

clean: stop  ## remove the virtual environment, build folders and caches
	rm -rf $(VENV) build dist .cache .pytest_cache .mypy_cache .ruff_cache
