# Needs Python >= 3.11, make and pip; everything else is installed into $(VENV).
#   make demo              rigs inverted on embedded data
#   make test              the tests, JOBS=2 files at a time; ARGS="-k rotations" narrows them
#   make check             format, lint, types, documentation, tests
#   make docs              the documentation as build/site, to be opened from disk
#   make pictures          its pictures anew (minutes; needs Chromium and OpenGL)
#   make addon             the Blender add-on as an archive to install, in dist/
# TORCH_INDEX=URL          a package index for PyTorch alone (its CPU-only builds, say)
# INSTALL="uv pip install --python .venv/bin/python"   for those who have uv

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
INSTALL ?= $(VENV)/bin/python -m pip install
ARGS ?=
JOBS ?= 2

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo report-assets docs pictures test check lint types format dist addon clean

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/bunraku demo $(ARGS)

# Needs node and npm; what it makes is committed.
report-assets: $(BIN)/python
	$(BIN)/python tools/report_assets/build.py

docs: $(STAMP)
	$(BIN)/python tools/documentation.py

# What it makes is committed.
pictures: $(STAMP)
	$(BIN)/python tools/pictures.py

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

check: lint types docs test

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/basedpyright

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

dist: $(STAMP)
	$(BIN)/python -m build --no-isolation

addon:
	$(PYTHON) integrations/blender/build_addon.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
	find src tests -type d -name __pycache__ -prune -exec rm -rf {} +

# PyTorch first and pinned: left to the resolver it may bring a build, and gigabytes, that nobody asked for.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(INSTALL) -c constraints.txt -e '.[dev]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "bunraku needs Python 3.11 or newer as '$(PYTHON)'; another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments (it has no ensurepip)." >&2; \
	  echo "On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
