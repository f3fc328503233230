# Each target sets up all that it needs, on a bare machine with Python 3.11 and make, and costs
# seconds when run again. Which environments there are, and why: CONTRIBUTING.md.

.PHONY: demo test test-core test-real test-airflow test-airflow2 test-airflow-e2e test-prefect test-prefect-e2e test-official check docs bench chaos lock clean
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
export PYTHON
export UV_PYTHON_DOWNLOADS = never
unexport PYTHONDONTWRITEBYTECODE # without bytecode, Ray, Airflow and Prefect take three times as long to import
unexport VIRTUAL_ENV

UV := .tools/bin/uv
DEV := .venv/bin
PREFECT := .venv-prefect/bin
AIRFLOW2 := .venv-airflow2/bin
OFFICIAL := .venv-official/bin
BENCH_S := 300
SYNC = $(UV) pip sync --quiet --compile-bytecode --require-hashes
# Side by side, a file at a time where tests of a file share a costly set-up; WORKERS=0 for one after the other.
WORKERS ?= 2
BESIDE = -n $(WORKERS) --dist
PYTEST = $(DEV)/python -m pytest

help:
	@echo "make demo    a real model rolled out by Airflow and by Prefect, a bad one taken back (5 minutes)"
	@echo "make test    all tests          make check   lint, types, architecture"
	@echo "make docs    build the docs     make bench   benchmarks"
	@echo "make chaos   kills and rollouts under traffic, for ten minutes"

$(UV): requirements/tools.txt scripts/bootstrap
	@echo "setting up uv"
	@scripts/bootstrap
	@touch $@

define ENVIRONMENT
@echo "setting up $(@D)"
@$(UV) venv --quiet --clear --python "$(PYTHON)" $(@D)
@VIRTUAL_ENV=$(@D) $(SYNC) $<
@VIRTUAL_ENV=$(@D) $(UV) pip install --quiet --no-deps --no-build-isolation -e .
@touch $@
endef

# The one for daily work: the core, Ray, Airflow, the newest Prefect that fits beside it, tools; a gigabyte.
.venv/ready: requirements/dev.txt pyproject.toml $(UV)
	$(ENVIRONMENT)

# What cannot live beside those: .venv-prefect, the newest Prefect; .venv-airflow2, the oldest Airflow;
# .venv-official, the official client, which pins more than the product should.
.venv-%/ready: requirements/%.txt pyproject.toml $(UV)
	$(ENVIRONMENT)

demo: .venv/ready
	@$(DEV)/python -m dags_examples.demo

test: test-core test-real test-airflow test-airflow2 test-prefect test-official

test-core: .venv/ready
	$(PYTEST) $(BESIDE) worksteal -m "not real and not airflow and not prefect and not official"

test-real: .venv/ready
	@scripts/servers
	@scripts/chromium
	$(PYTEST) $(BESIDE) worksteal -m "real and not airflow and not airflow_e2e and not prefect and not prefect_e2e and not official"

test-airflow: .venv/ready
	$(PYTEST) $(BESIDE) loadfile -m "airflow and not airflow_e2e"
	AIRFLOW_E2E_PATIENCE=3 $(PYTEST) -m airflow_e2e -k "$(AIRFLOW_SMOKE)" tests/airflow/test_e2e.py

# The oldest Airflow that is supported. Of the whole DAG runs, those that go another way than beside others.
test-airflow2: .venv-airflow2/ready
	$(AIRFLOW2)/python -m pytest $(BESIDE) loadfile -m "airflow and not airflow_e2e" \
		-k "not (brings_the_second or two_services or for_its_window or by_hand_takes)" tests/airflow

# Of the whole scenarios, those that go with every test: a bad canary, a worker that is killed, people who are asked.
AIRFLOW_SMOKE = bad_canary or (worker_that_is_killed and first) or turns_bad

# A real `airflow standalone` and a real plane; whole scenarios, kills among them.
test-airflow-e2e: .venv/ready
	$(PYTEST) -m airflow_e2e tests/airflow

test-prefect: .venv/ready .venv-prefect/ready
	$(PYTEST) $(BESIDE) loadfile -m "prefect and not prefect_e2e" tests/prefect
	$(PREFECT)/python -m pytest $(BESIDE) loadfile -m "prefect and not prefect_e2e" tests/prefect
	$(PREFECT)/python -m pytest -m prefect_e2e -k "$(PREFECT_SMOKE)" tests/prefect

# Of the whole scenarios, those that go with every test: a promotion and its page, an answer to a run that has no process,
# a cancellation and a crash that take the canary back, a run that is killed over and over.
PREFECT_SMOKE = shows_itself or taken_up_by_the_worker or rollback-None or (over_and_over and 0)

# A real `prefect server`, a real worker and a real plane, of the newest Prefect; whole scenarios, kills among them.
test-prefect-e2e: .venv-prefect/ready
	$(PREFECT)/python -m pytest -m prefect_e2e tests/prefect

# Bounded, so that a client that hangs cannot hold up the rest.
test-official: .venv-official/ready
	timeout --kill-after=30 900 $(OFFICIAL)/python -m pytest $(BESIDE) loadfile -m official tests/official

check: .venv/ready
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .
	$(DEV)/mypy
	$(DEV)/lint-imports

docs: .venv/ready
	$(DEV)/python docs/generate.py --check
	$(DEV)/mkdocs build --strict --quiet
	@echo "built site/"

# All are run, each bounded in seconds; one that fails makes the whole fail.
bench: .venv/ready .venv-official/ready
	@failed=; for file in benchmarks/*.py; do echo "── $$file"; \
		timeout --kill-after=10 $(BENCH_S) $(DEV)/python $$file || failed="$$failed $$file"; \
	done; test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }

# A service on Ray clusters under 200 requests a second, and all that may happen to it; ends with its figures.
chaos: .venv/ready
	timeout --kill-after=60 1800 $(DEV)/python -m tests.plane.chaos.run $(CHAOS)

# Pinned and hashed, no URLs. The override: Prefect asks for a newer certifi than mirrors may have.
COMPILE = $(UV) pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 \
	--custom-compile-command "make lock" pyproject.toml
lock: $(UV)
	@$(COMPILE) $(UPGRADE) --constraint requirements/constraints.txt --extra all --group demo --group test --group fuzz --group lint --group docs --group build -o requirements/dev.txt
	@$(COMPILE) $(UPGRADE) --extra plane --extra prefect --group test --group build \
		--override requirements/overrides.txt -o requirements/prefect.txt
	@$(COMPILE) $(UPGRADE) --extra plane --group official --group test --group build -o requirements/official.txt
	@$(COMPILE) $(UPGRADE) --extra plane --group airflow2 --group test --group build -o requirements/airflow2.txt
	@echo uv | $(UV) pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 \
		--custom-compile-command "make lock" $(UPGRADE) - -o requirements/tools.txt

clean:
	rm -rf .venv .venv-airflow2 .venv-prefect .venv-official .tools site .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
