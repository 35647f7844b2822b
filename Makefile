# Needs make and Python 3.11 or newer; everything else goes into .venv.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && { echo $$p; break; }; done)
# torch comes first, so that TORCH may name another build, such as one for CUDA or a CPU alone.
TORCH ?= torch==2.13.0
BIN := .venv/bin
LOWEST := .venv-lowest
STAMP := .venv/installed
LOWEST_STAMP := $(LOWEST)/installed

.PHONY: setup demo test fuzz lint docs test-lowest benchmarks clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=..." >&2; exit 1; }
	@echo "Installing into .venv: a few minutes, about 2 GB on a CPU." >&2
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@

demo: setup
	HF_HUB_OFFLINE=1 $(BIN)/skcausalrm demo --overwrite

# The picture in the README.
docs/images/demo.png: demo
	cp demo/demo.png $@

# Two processes of one thread each: more threads than cores make everything crawl. Bytecode is kept,
# or each process that a test starts would compile the package again.
PYTEST := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=
PYTEST_FLAGS := -n 2 --dist loadfile

test: setup
	$(PYTEST) $(BIN)/python -m pytest $(PYTEST_FLAGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python -m pytest tests/test_docstrings.py

# The property tests of inputs with 5,000 examples each: a few minutes.
fuzz: setup
	$(PYTEST) $(BIN)/python -m pytest tests/datasets/test_any_value.py --hypothesis-profile fuzz

# Every warning is an error; the fast examples run.
docs: setup
	OMP_NUM_THREADS=2 HF_HUB_OFFLINE=1 $(BIN)/sphinx-build -W --keep-going -q docs docs/_build/html
	@echo "The site is in docs/_build/html: open index.html."

# The suite on the lowest versions that pyproject.toml allows of its direct dependencies.
test-lowest: $(LOWEST_STAMP)
	$(PYTEST) $(LOWEST)/bin/python -m pytest $(PYTEST_FLAGS)

$(LOWEST_STAMP): pyproject.toml .ci/lowest.py | setup
	python3.11 -m venv --clear $(LOWEST)
	$(BIN)/python .ci/lowest.py pyproject.toml > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet "$(TORCH)"
	$(LOWEST)/bin/python -m pip install --quiet -c $(LOWEST)/constraints.txt -e ".[dev]"
	touch $@

benchmarks: setup
	$(BIN)/python benchmarks/speed.py

clean:
	rm -rf .venv .venv-lowest .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist demo docs/_build docs/auto_examples docs/generated
