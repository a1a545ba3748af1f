# `make reproduce` and `make test` are all a fresh clone needs; each sets up .venv first, once.
PYTHON ?= python3
export DVC_NO_ANALYTICS := 1
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: reproduce test types pytest two-commands setup setup-dev study studies carry verify readme new bench audit lock clean

reproduce: setup
	dvc repro

test: setup-dev
	ruff check .
	ruff format --check .
	$(MAKE) --no-print-directory --jobs 2 types pytest

types: setup-dev
	mypy

# All tests, or TESTS="tests/test_readme.py ...".
TESTS ?=
pytest: setup-dev
	pytest -n auto $(TESTS)

# Both commands above in fresh clones of a small project, in either order.
two-commands: setup-dev
	tests/two_commands.sh

# Train MODEL again in a clone and compare hashes with the landed results.
MODEL ?= lenet5
verify: setup
	python -m experiments.verify $(MODEL)

# Run what is missing of studies/NAME.yaml as experiments, JOBS at a time; collect metrics/studies/.
# SET="KEY=VALUE ...": parameters of every row. On a cluster: BACKEND=ray or dask, its ADDRESS, GIT and
# REMOTE that workers reach, GPUS for each row.
NAME ?=
WHERE = --jobs "$(JOBS)" --backend "$(BACKEND)" --address "$(ADDRESS)" --git "$(GIT)" --remote "$(REMOTE)" --gpus "$(GPUS)" $(SET:%=--set-param "%")
study: setup
	python -m experiments.study $(NAME) $(WHERE)

# Every study but those that say what they need, as `needs: gpu`.
studies: setup
	python -m experiments.study --all $(WHERE)

# Show which runs of studies today's code still computes the same, bit for bit, and carry them over.
carry: setup
	python -m experiments.carry $(NAME) $(WHERE)

# Copy the table of models from the last commit's results.md into README.md.
readme: setup
	python -m experiments.readme

# Start a new project in DIR: the code and tests of this one, digits and two models, no results.
DIR ?=
new: setup
	python -m experiments.new_project "$(DIR)"

# Speed against the usual loop, start-up, growth: bench/results.md. Nothing else should run meanwhile.
bench: setup
	dvc repro
	python -m bench

# What `make reproduce`, studies and the rest need; with the test tools, Ray and Dask for setup-dev.
setup: .venv/installed
setup-dev: .venv/installed-dev

# A stamp is written last: an interrupted set-up starts again.
.venv/installed: requirements.txt
	$(call install,requirements.txt)
	touch $@

.venv/installed-dev: requirements-dev.txt
	$(call install,requirements-dev.txt)
	touch .venv/installed $@

define install
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r $(1)
endef

# Known vulnerabilities of the dependencies, and secrets in tracked files.
audit: setup-dev
	pip-audit --requirement requirements-dev.txt --no-deps --disable-pip
	git ls-files -z | xargs -0 detect-secrets-hook --baseline .secrets.baseline

# Exact pins for every platform, from the direct dependencies in pyproject.toml; the same for every
# version of Python, as versions decide results.
COMPILE = uv pip compile --universal --fork-strategy fewest --quiet --custom-compile-command 'make lock'
lock: setup-dev
	$(COMPILE) pyproject.toml -o requirements.txt
	$(COMPILE) --extra dev --constraint requirements.txt pyproject.toml -o requirements-dev.txt

clean:
	rm -rf .venv
