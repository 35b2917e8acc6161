# Everything runs in a virtual environment of its own, with the versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m

.PHONY: reproduce test test-slow lint benchmark weights clean

reproduce: $(VENV)/installed  ## train the laptop preset, catch the drop, make every figure, judge every claim
	$(VENV)/bin/abruptlab reproduce laptop --out runs/laptop

test: $(VENV)/installed-dev lint  ## lint, types, tests: under ten minutes on two cores
	$(RUN) pytest

test-slow: $(VENV)/installed-dev  ## the tests that take minutes each
	$(RUN) pytest tests/slow --override-ini addopts=

lint: $(VENV)/installed-dev
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) pyright

benchmark: $(VENV)/installed-dev  ## the speed of a training step against the reference's
	$(RUN) benchmarks.train_step --out results/benchmarks

weights: $(VENV)/installed  ## rebuild the weights that come with the package from runs/laptop
	$(RUN) scripts.ship_weights runs/laptop

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(RUN) pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
