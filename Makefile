# Each target makes its own virtual environment and installs into it: no other step on a fresh machine with Python and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Many machines of a CI ask Python to keep no byte code. Here thousands of processes would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE
STAMP  := $(VENV)/.installed
FUZZER := $(VENV)/.fuzzer
INSTALLED := build/installed/.made

.PHONY: demo components test test-slow ets requirements fuzz bench site lint sbom audit deb clean

$(STAMP): pyproject.toml
	@echo "making $(VENV) and installing into it: a minute or two, once"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)  ## the tour, live; ARGS=--once for a single run with a verdict
	@$(BIN)/lwm2m-bridge demo $(ARGS)

components: $(STAMP)  ## what tests use from elsewhere: fetched and built; again where it broke off
	@$(BIN)/python -m tests.components

# Five at a time, for most wait and do not compute: with three, two cores were busy for two thirds of the time. The tests of
# a file stay together, for they share a set-up, and tests/conftest.py has the longest files begin first. `make test-slow`
# goes one by one: it traces the bridge, kills it at chosen moments, and tries mutations three at a time already.
test: components  ## everything that proves the product in a few minutes
	$(BIN)/python -m pytest -m "not slow" -n 5 --dist loadfile --no-loadscope-reorder $(ARGS)

test-slow: components  ## more crashes, all mutations
	$(BIN)/python -m pytest -m slow $(ARGS)

ets: components  ## OMA's enabler test cases, each network and server; writes docs/ets.md from what came of them
	$(BIN)/python -m pytest tests/ets --write-page $(ARGS)

requirements: components  ## the tests of OMA's requirements; writes docs/requirements.md from what came of them
	-$(BIN)/python -m pytest -m requirement --requirements-report $(ARGS)
	$(BIN)/python -m tests.requirements

$(FUZZER): $(STAMP)
	@$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	@touch $(FUZZER)

fuzz: $(FUZZER)  ## every reader of bytes from outside, guided by coverage; ARGS="--seconds=600 coap" for one of them
	@$(BIN)/python -m tests.fuzz $(ARGS)

bench: $(STAMP)  ## ratios against baselines measured in the same run; writes build/bench.json
	$(BIN)/python -m benchmarks $(ARGS)

site: $(STAMP)  ## the documentation as a web site in build/site; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry bridge bindings mock_network

$(INSTALLED): $(STAMP)
	@$(PYTHON) -m venv build/installed
	@build/installed/bin/python -m pip install --quiet '.[all]'
	@$(BIN)/python -m pip install --quiet '.[supply]'
	@touch $(INSTALLED)

sbom: $(INSTALLED)  ## what an installation with all extras consists of, as CycloneDX
	@$(BIN)/cyclonedx-py environment build/installed/bin/python --pyproject pyproject.toml --output-file build/sbom.json
	@echo "build/sbom.json"

audit: $(INSTALLED)  ## known weaknesses of what is installed; fails if there are any, and where nobody could be asked
	@build/installed/bin/python -m pip freeze --exclude lwm2m-nonip-bridge > build/installed/packages.txt
	@$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement build/installed/packages.txt

deb:  ## a Debian package in build/deb, for the Python of this machine: deploy/deb/build.sh
	@deploy/deb/build.sh build/deb $(ARGS)

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
