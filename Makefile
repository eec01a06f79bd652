# The Deep Learning Paradox. Start with `make book`; `make help` explains the rest.
# Everything runs in .venv, which any target makes from requirements.lock. Nothing has to be installed by hand.

VENV := .venv
READY := $(VENV)/.ready
PY := $(VENV)/bin/python
PRESS := $(PY) -m dlparadox.press
PYTHON ?=
EXECUTOR ?=
CORES ?= all
WORKERS ?= 2
PORT ?= 8000
HTML := _build/html/index.html

export NAME PARAMS PYTHON EXECUTOR
export PYTHONUNBUFFERED := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help book test chapter paper sync reference bench lint format serve lock clean moved
.SUFFIXES:

help:  ## explain every target
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /\1|/' | \
		while IFS='|' read -r target text; do printf '  make %-10s %s\n' "$$target" "$$text"; done
	@echo
	@echo "  make paper NAME=random-labels EXECUTOR=slurm runs one job per seed on a cluster; EXECUTOR=local does so here."
	@echo "  PYTHON=python3.12 picks the interpreter for .venv; CORES=2 limits how many chapters run side by side."

book: $(READY)  ## run the chapters that changed and build the book; prints the path to open
	@$(PRESS) book --cores "$(CORES)"
	@echo; echo "The book is ready. Open $(CURDIR)/$(HTML)"

test: book  ## make the book, then run every test, the chapters' regression check among them
	$(PY) -m pytest -n $(WORKERS) --dist loadfile

chapter: $(READY)  ## run one chapter your way: NAME=random-labels PARAMS="width=1024 seed=7"; writes to results/
	@$(PRESS) chapter -- "$$NAME" "$$PARAMS"

paper: $(READY)  ## run one chapter at the paper's scale and keep the record: NAME=random-labels; resumes when interrupted
	@[ "$$EXECUTOR" != slurm ] || ! command -v sbatch > /dev/null || $(PY) -c "import snakemake_executor_plugin_slurm" 2>/dev/null || \
		$(PY) -m pip install -c requirements.lock -e ".[cluster]"
	@$(PRESS) paper --executor "$$EXECUTOR" --cores "$(CORES)" -- "$$NAME"

sync: $(READY)  ## bring the notebooks in experiments/ into step with their .md, the source
	@$(PRESS) sync

reference: $(READY)  ## run one chapter if it changed, then make its notebook in experiments/: NAME=random-labels
	@$(PRESS) digest -- "$$NAME" > /dev/null
	@$(PRESS) book --cores "$(CORES)" "build/quick/$$NAME.ipynb"
	@$(PRESS) reference -- "$$NAME"

bench: $(READY)  ## time the shared code against what a user would pick instead; a few minutes, keeps the book's numbers
	@for file in kernels neighbours ode tangent_kernels training; do $(PY) benchmarks/$$file.py || exit 1; done

lint: $(READY)  ## check style and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(READY)  ## put the code into the house style
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

serve: book  ## make the book and serve it at http://localhost:8000 (PORT=8000)
	$(PY) -m http.server --bind localhost --directory _build/html $(PORT)

lock: $(READY)  ## pin the newest versions that pyproject.toml allows, in requirements.lock
	$(PY) -m piptools compile -q --upgrade --strip-extras --no-header --no-annotate --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host --extra book --extra dev --output-file requirements.lock pyproject.toml
	sed -i.bak 's/^\(torch==[0-9.]*\)+cpu/\1/' requirements.lock && rm -f requirements.lock.bak

clean:  ## remove all that `make book` made; .venv and results/ stay
	rm -rf build _build book/chapters book/generated .snakemake

# ---- the virtual environment: the mark .ready is written last, so a bootstrap that was interrupted starts afresh ----

# An environment that was moved or copied still points to its old folder; .ready holds the folder it was made for.
ifneq "$(shell cat $(READY) 2>/dev/null)" "$(CURDIR)"
$(READY): moved
endif

$(READY): requirements.lock pyproject.toml
	@set -e; seen=; found=; \
	for candidate in $${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do \
		version=$$("$$candidate" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || { \
			[ -z "$$PYTHON" ] || seen="$$seen $$candidate does not run;"; continue; }; \
		if ! "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then seen="$$seen $$candidate is $$version;"; \
		elif ! "$$candidate" -c 'import ensurepip, venv' 2>/dev/null; then \
			seen="$$seen $$candidate ($$version) cannot make virtual environments, install python3-venv;"; \
		else found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "error: Python 3.11 or newer is needed; found:$${seen:- none}" >&2; \
		echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name one: make book PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi; \
	if [ "$$(cat $(READY) 2>/dev/null)" = "$(CURDIR)" ]; then \
		echo "Bringing $(VENV) up to date ..."; \
	else \
		echo "Making $(VENV) with $$found ($$version); this takes a few minutes, once ..."; \
		"$$found" -m venv --clear $(VENV); \
	fi; \
	rm -f $(READY); \
	$(PY) -m pip install -r requirements.lock; \
	$(PY) -m pip install --no-deps -e .; \
	printf '%s\n' "$(CURDIR)" > $(READY)

moved: ;
