# Every target is complete from a fresh clone: it makes .venv, installs, and does its job.
#
#   PYTHON   the interpreter that .venv is made with (3.11 or newer for the CPU build of vLLM)
#   ENGINE   vllm (GPUs) or cpu; found out if not given
#
# uv installs. What pip is told about package indexes by environment variables holds for it too.

PYTHON ?= python3
ENGINE ?= $(shell nvidia-smi --list-gpus 2>/dev/null | grep -q GPU && echo vllm || echo cpu)

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed-$(ENGINE)
OVERRIDE := $(if $(filter cpu,$(ENGINE)),--override requirements/cpu-overrides.txt)
UV := $(if $(shell uv --version 2>/dev/null),uv,$(BIN)/uv)
COMPAT_VENV := .venv-distilabel

ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifdef PIP_EXTRA_INDEX_URL
export UV_INDEX ?= $(PIP_EXTRA_INDEX_URL)
endif
ifdef PIP_FIND_LINKS
comma := ,
export UV_FIND_LINKS ?= $(subst $() ,$(comma),$(PIP_FIND_LINKS))
endif
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif

# Every engine imports vLLM in two processes of its own: twice as long without compiled modules.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test chaos lint format bench compat clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

install: $(INSTALLED)  ## .venv with this package, an engine and the development tools

$(BIN)/python:
ifeq ($(UV),$(BIN)/uv)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
else
	$(UV) venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" $(VENV)
endif

$(INSTALLED): setup.py pyproject.toml requirements/cpu-overrides.txt | $(BIN)/python
	$(UV) pip install --python $(BIN)/python --editable '.[$(ENGINE),dev]' $(OVERRIDE)
	touch $@

demo: $(INSTALLED)  ## judge the demo data with the demo judge on a real vLLM engine
	$(BIN)/python examples/prometheus.py --demo

lint: $(INSTALLED)  ## style, types, layers
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)  ## put the code into its standard form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# What fails on a busy machine and then passes is listed as RERUN: something to mend, too.
test: lint  ## lint, then all tests but those marked chaos, flink, gpu and slow
	$(BIN)/python -m pytest -n 2 --reruns 1 -rR --durations 20

chaos: $(INSTALLED)  ## runs, workers and engines are killed, disks are full: all that pytest marks chaos
	$(BIN)/python -m pytest -m chaos tests/chaos

bench: $(INSTALLED)  ## the benchmarks, one after the other
	set -e; for name in batches beam_handler chain checkpointing feeding io million overhead resume \
			scaling vllm_ratio; do \
		echo "== $$name"; $(BIN)/python benchmarks/$$name.py; done

$(COMPAT_VENV)/installed: tests/compat/requirements.txt | $(INSTALLED)
	$(UV) venv --quiet --allow-existing --python $(BIN)/python $(COMPAT_VENV)
	$(UV) pip install --python $(COMPAT_VENV)/bin/python \
		-r tests/compat/requirements.txt
	touch $@

compat: $(INSTALLED) $(COMPAT_VENV)/installed  ## distilabel's own examples, beside distilabel
	BEAM_DISTILABEL_COMPAT_PYTHON=$(CURDIR)/$(COMPAT_VENV)/bin/python \
		$(BIN)/python -m pytest tests/compat

clean:  ## remove what the other targets made
	rm -rf $(VENV) $(COMPAT_VENV) build dist *.egg-info .coverage htmlcov \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find beam_distilabel/ transforms runners tests tools examples -name __pycache__ \
		-type d -prune -exec rm -rf {} +
