# make up      start everything here (needs only Python 3.11+)       RUNYARD_PORT=8081 make up   on another port
# make chat    talk to an agent      make chat PROVIDER=codex SESSION=<id> PROMPT="..."
# make test    every test            make lint      what checks the code      make dev   only install what they need
# make doctor  what is wrong here, and what to do about it
# make probe   try what the pinned agents can do, and write it down (executor/agents/proved.json)
# make agents  install the three agents now, instead of on their first use
# make executor-image   build the image of Docker workers (docs/docker-workers.md)
# make bench   the measurements      make clean-data   delete this clone's data (asks first)

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.runyard-installed
READY_DEV := $(VENV)/.runyard-installed-dev
PIP := $(RUN) -m pip --disable-pip-version-check --require-virtualenv

.PHONY: up chat sign-in doctor dev test lint openapi settings agents probe executor-image bench clean-data requirements venv
.DEFAULT_GOAL := up

up: $(READY)
	@exec $(RUN) -m cli up

# What was typed, without make reading dollar signs in it.
chat: export PROMPT_TEXT = $(value PROMPT)
chat: $(READY)
	@exec $(RUN) -m cli chat $(if $(SESSION),--session '$(SESSION)') $(if $(PROVIDER),--provider '$(PROVIDER)') \
	  $(if $(MODEL),--model '$(MODEL)') $(if $(MODE),--mode '$(MODE)') $(if $(YES),--yes) \
	  $${PROMPT_TEXT:+-- "$$PROMPT_TEXT"}

sign-in: $(READY)
	@exec $(RUN) -m cli sign-in

doctor: $(READY)
	@exec $(RUN) -m cli doctor $(ARGS)

agents: $(READY)
	@AGENTS_DIR="$${AGENTS_DIR:-$(CURDIR)/.runyard/agents}" exec $(RUN) -m executor.agents.install

# The image of Docker workers. BASE_IMAGE=... what it is made from, EXECUTOR_IMAGE=... what it is called.
executor-image: agents
	@exec $(RUN) -m jobs.hosts.image

dev: $(READY_DEV)

test: $(READY_DEV)
	@exec $(RUN) -m pytest $(ARGS)

probe: agents $(READY_DEV)
	@AGENTS_DIR="$${AGENTS_DIR:-$(CURDIR)/.runyard/agents}" exec $(RUN) -m tests.probe $(ARGS)

bench: $(READY_DEV)
	@exec $(RUN) -m tests.benchmarks $(ARGS)

lint: $(READY_DEV)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/squawk schema/migrations/*.sql

# The contract as the server generates it, for readers and for the test that compares.
openapi: $(READY)
	@$(RUN) -m functions.openapi_file > schema/openapi.json.new && mv schema/openapi.json.new schema/openapi.json

# The page of settings as the settings classes describe them, for readers and for the test that compares.
settings: $(READY)
	@$(RUN) -m tests.settings_page

clean-data: $(READY)
	@exec $(RUN) -m cli clean-data

# Exact versions of everything, without download addresses.
requirements: $(READY_DEV)
	@for name in requirements requirements-dev requirements-functions requirements-executor; do \
	  $(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-emit-index-url \
	    --custom-compile-command "make requirements" $$name.in -o $$name.txt || exit 1; done

# Shows how far pip is; what it said is kept, and its end shown when it fails.
define install
@{ $(PIP) install --progress-bar off -r $(1) 2>&1; echo "exit $$?"; } | tee $(VENV)/install.log | \
  awk -v total=$$(grep -c == $(1)) ' \
    /^ *(Collecting|Processing|Requirement already)/ { printf "\r  %d of %d packages", ++n, total; fflush() } \
    /^ *Installing collected/ { printf ", installing them ..."; fflush() } \
    /^exit / { status = $$2 } \
    END { print ""; exit status }' || { tail -n 20 $(VENV)/install.log; exit 1; }
endef

# A folder that was made by a Python that is gone is made again, and what was installed in it installed again.
ifneq ($(shell test -x $(RUN) && echo runs),runs)
$(shell rm -f $(READY) $(READY_DEV))
endif

# Installed once, and again when the list changes; a stamp says that it was finished.
$(READY): requirements.txt | venv
	@echo "installing Python packages from requirements.txt (a minute or two the first time) ..."
	$(call install,requirements.txt)
	@$(RUN) -c 'import flask, psycopg, procrastinate' && touch $@

$(READY_DEV): requirements-dev.txt $(READY)
	@echo "installing what the tests and checks need ..."
	$(call install,requirements-dev.txt)
	@$(RUN) -c 'import pytest, mypy' && touch $@

venv:
	@test -x $(RUN) || { \
	  command -v $(PYTHON) >/dev/null || { \
	    echo "Runyard needs Python 3.11 or later, and there is no $(PYTHON). Name it: make up PYTHON=python3.12"; exit 1; }; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Runyard needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version). Name another: make up PYTHON=python3.12"; \
	    exit 1; }; \
	  $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "This Python lacks venv. On Debian and Ubuntu: apt install python3-venv"; exit 1; }; \
	  echo "making $(VENV) with $$($(PYTHON) --version)"; rm -rf $(VENV); $(PYTHON) -m venv $(VENV); }
