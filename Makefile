# make up      start everything here (needs only Python 3.11 to 3.14)   RUNYARD_PORT=8081 make up   on another port
# make chat    talk to an agent      make chat PROVIDER=codex SESSION=<id> PROMPT="..." YES=1
# make test    what needs neither agents nor a container engine, in minutes    make test-all   all tests, once each
# make test-full   test-all with full counts, for hours     make lint   check the code     make dev   install the checks
# make doctor  what is wrong here, and what to do about it
# make probe   try what the pinned agents can do, and write it down (executor/agents/proved.json)
# make agents  install the three agents now, instead of on their first use
# make portal  build the web portal now, instead of beside `make up`      make portal-dev   with hot reload
# make portal-test   the portal's unit tests, types, lint and sizes
# make executor-image   build the image of Docker workers (docs/docker-workers.md)
# make bench   the measurements      make clean-data   delete this clone's data (asks first)

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.runyard-installed
READY_DEV := $(VENV)/.runyard-installed-dev
PIP := $(RUN) -m pip --disable-pip-version-check --require-virtualenv
# The newest version for which every pinned package has a wheel.
NEWEST_PYTHON := 3.14

# Two test processes; one that has finished takes tests from the other. Each test has its own database, ports and folders.
PYTEST = $(RUN) -m pytest -n 2 --dist worksteal
FIRST_TIER = not agents and not docker and not postgres15 and not slow

.PHONY: up chat sign-in doctor dev test test-rest test-all test-full lint openapi settings agents probe executor-image bench clean-data requirements venv portal portal-dev portal-test
.DEFAULT_GOAL := up

# On a terminal the command itself says what is wrong, and make adds no "Error 1".
CLI = exec $(RUN) -m cli --from-make

up: $(READY)
	@$(CLI) up $(ARGS)

# What was typed, without make reading dollar signs in it.
chat: export PROMPT_TEXT = $(value PROMPT)
chat: $(READY)
	@$(CLI) chat $(if $(SESSION),--session '$(SESSION)') $(if $(PROVIDER),--provider '$(PROVIDER)') \
	  $(if $(MODEL),--model '$(MODEL)') $(if $(MODE),--mode '$(MODE)') $(if $(YES),--yes) \
	  $${PROMPT_TEXT:+-- "$$PROMPT_TEXT"}

sign-in: $(READY)
	@$(CLI) sign-in

doctor: $(READY)
	@$(CLI) doctor $(ARGS)

agents: $(READY)
	@AGENTS_DIR="$${AGENTS_DIR:-$(CURDIR)/.runyard/agents}" exec $(RUN) -m executor.agents.install

portal: $(READY)
	@exec $(RUN) -m cli portal $(ARGS)

NPM := PATH="$(CURDIR)/$(VENV)/bin:$$PATH" npm --prefix portal --silent

# Serves the sources on a port of its own and passes API calls on to RUNYARD_URL (http://127.0.0.1:8080).
portal-dev: portal
	@exec env $(NPM) run dev

portal-test: portal
	@set -e; for step in check lint test sizes; do env $(NPM) run $$step; done

# The image of Docker workers. BASE_IMAGE=... what it is made from, EXECUTOR_IMAGE=... what it is called.
executor-image: agents
	@exec $(RUN) -m jobs.hosts.image

dev: $(READY_DEV)

test: $(READY_DEV)
	@exec $(PYTEST) -m '$(FIRST_TIER)' $(ARGS)

# What `make test` leaves out.
test-rest: $(READY_DEV)
	@exec $(PYTEST) -m 'not ($(FIRST_TIER))' $(ARGS)

test-all: $(READY_DEV) agents
	@exec $(PYTEST) $(ARGS)

test-full: $(READY_DEV) agents
	@RUNYARD_TEST_FULL=1 exec $(PYTEST) $(ARGS)

probe: agents
	@AGENTS_DIR="$${AGENTS_DIR:-$(CURDIR)/.runyard/agents}" exec $(RUN) -m tests.probe $(ARGS)

bench: $(READY)
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
	@$(CLI) clean-data

# Exact versions with hashes, without download addresses. The lists of deployables take their versions from requirements.txt.
COMPILE = $(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
  --no-strip-extras --no-emit-index-url --custom-compile-command "make requirements"
requirements: $(READY_DEV)
	@$(COMPILE) requirements.in -o requirements.txt
	@for name in functions control-plane executor dev; do \
	  $(COMPILE) -c requirements.txt requirements-$$name.in -o requirements-$$name.txt || exit 1; done
	@for file in requirements*.txt; do $(WITH_BASES) $$file > $$file.new && mv $$file.new $$file || exit 1; done

# pip before 24 takes `name[extra]` for another package than `name`, and wants hashes of both.
WITH_BASES = awk 'function flush() { if (block ~ /^[A-Za-z0-9._-]+\[/) { base = block; sub(/\[[^]]*\]/, "", base); printf "%s", base } \
  printf "%s", block; block = "" } /^[^ ]/ { flush() } { block = block $$0 "\n" } END { flush() }'

# Shows how far pip is; what it said is kept, and its end shown when it fails.
define install
@{ $(PIP) install --progress-bar off --require-hashes -r $(1) 2>&1; echo "exit $$?"; } | tee $(VENV)/install.log | \
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
	@echo "installing what \`make lint\` needs ..."
	$(call install,requirements-dev.txt)
	@$(RUN) -c 'import mypy' && touch $@

venv:
	@test -x $(RUN) || { \
	  command -v $(PYTHON) >/dev/null || { \
	    echo "Runyard needs Python 3.11 to $(NEWEST_PYTHON), and there is no $(PYTHON). Name one: make up PYTHON=python3.12"; exit 1; }; \
	  $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= tuple(map(int, "$(NEWEST_PYTHON)".split("."))))' || { \
	    echo "Runyard needs Python 3.11 to $(NEWEST_PYTHON); $(PYTHON) is $$($(PYTHON) --version). Name another: make up PYTHON=python3.12"; \
	    exit 1; }; \
	  $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "This Python lacks venv. On Debian and Ubuntu: apt install python3-venv"; exit 1; }; \
	  echo "making $(VENV) with $$($(PYTHON) --version)"; rm -rf $(VENV); $(PYTHON) -m venv $(VENV); }
