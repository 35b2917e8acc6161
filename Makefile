# Everything runs in a virtual environment of its own, with the versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m

.PHONY: reproduce test pytest test-slow lint docs benchmark seeds gpt sweeps weights clean

reproduce: $(VENV)/installed  ## train the laptop preset, catch the drop, make every figure, judge every claim
	$(VENV)/bin/abruptlab reproduce laptop --out runs/laptop

test: $(VENV)/installed-dev  ## lint, types, tests: five to nine minutes on two cores
	$(MAKE) --no-print-directory --jobs 2 lint pytest

# Bytecode, where the environment forbids it, too: without it each of the many processes of the tests compiles everything.
pytest: export PYTHONDONTWRITEBYTECODE =
pytest: $(VENV)/installed-dev
	$(RUN) pytest --numprocesses 2 --dist worksteal

test-slow: $(VENV)/installed-dev  ## the tests that take minutes each
	$(RUN) pytest tests/slow --override-ini addopts= --timeout 3600

lint: $(VENV)/installed-dev
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(VENV)/bin/lint-imports
	$(RUN) pyright --pythonpath $(VENV)/bin/python

docs: $(VENV)/installed-dev  ## the documents as a site: site/index.html, to be opened from disk
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

benchmark: $(VENV)/installed-dev  ## the speed of a training step against the papers' loops, and of the attention's kernels
	$(RUN) benchmarks.attention --out results/benchmarks
	$(RUN) benchmarks.train_step --out results/benchmarks
	$(RUN) benchmarks.plateau --out results/benchmarks

seeds: $(VENV)/installed  ## the five seeds of the laptop preset (an hour and a half), and results/laptop from them
	for seed in 0 1 2 3 4; do $(VENV)/bin/abruptlab train laptop --seed $$seed --resume && $(VENV)/bin/abruptlab claims runs/laptop-seed$$seed || exit 1; done
	$(VENV)/bin/abruptlab figures runs/laptop-seed1
	$(RUN) scripts.seeds results/laptop runs/laptop-seed0 runs/laptop-seed1 runs/laptop-seed2 runs/laptop-seed3 runs/laptop-seed4
	$(VENV)/bin/abruptlab report runs/laptop-seed1
	cd runs/laptop-seed1 && cp -r figures tables report.html ../../results/laptop/

gpt: $(VENV)/installed  ## three seeds of the laptop's GPT and one with linear attention, and results/gpt-laptop from them
	for seed in 0 1 2; do $(VENV)/bin/abruptlab reproduce gpt-laptop --seed $$seed || exit 1; done
	$(VENV)/bin/abruptlab reproduce gpt-laptop --attention linear --out runs/gpt-laptop-linear
	$(RUN) scripts.seeds results/gpt-laptop runs/gpt-laptop-seed0 runs/gpt-laptop-seed1 runs/gpt-laptop-seed2
	$(VENV)/bin/abruptlab report runs/gpt-laptop-seed0  # again: now with the other seeds as a band
	cd runs/gpt-laptop-seed0 && cp -r figures report.html ../../results/gpt-laptop/
	mkdir -p results/gpt-laptop/linear
	cd runs/gpt-laptop-linear && cp -r figures claims.json config.toml ../../results/gpt-laptop/linear/

sweeps: $(VENV)/installed  ## all sweeps of both papers at laptop's scale (many hours; goes on where it stopped), and their part of results/
	$(VENV)/bin/abruptlab reproduce --everything
	$(RUN) scripts.keep

weights: $(VENV)/installed  ## rebuild the weights that come with the package from runs/laptop and runs/pocket-seed0
	$(RUN) scripts.ship_weights runs/laptop
	$(RUN) scripts.ship_weights runs/pocket-seed0

$(VENV)/installed: pyproject.toml constraints.txt
	@echo "setting up $(VENV): PyTorch is large, this takes a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(RUN) pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .hypothesis
