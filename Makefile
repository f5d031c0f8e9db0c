# Everyday commands. `make` alone lists them. Everything lives in .venv, made once and made anew when
# pyproject.toml or constraints.txt change. Another interpreter: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETTINGS := pyproject.toml constraints.txt
CONSTRAINTS ?= -c constraints.txt
export RADAPTER_DATA ?= $(abspath ../shared/data)

.DEFAULT_GOAL := help
.PHONY: help demo build docs tables test test-all test-lowest lint format types bench-world bench-step bench-loss bench-memory bench-pacs bench-mining bench-ablation bench-segmentation bench-regions bench-camvid bench-retrieval bench-flickr8k clean python-is-new-enough bench-search soak screens test-browser

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## compare six methods with zero-shot on the synthetic benchmark, offline, on a CPU
	@$(BIN)/radapter demo

# Two processes with a thread each are faster on two cores than one with two.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test: $(VENV)/.installed-test lint types ## ruff, mypy and pytest, without the slow tests
	@$(PYTEST) -m "not slow"

test-all: $(VENV)/.installed-test lint types ## ruff, mypy and every test: also full-size models, the demo and long runs
	@$(PYTEST)

# Outside .ci/run: it installs Debian's chromium.
test-browser: $(VENV)/.installed-test ## the report and the page of a run in headless Chromium, which this installs
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] || sudo=sudo; $$sudo apt-get install --yes --quiet chromium; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) -e '.[browser]'
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/browser

# Outside .ci/run: it downloads another torch. The newest indirect dependencies deprecate what the oldest direct ones use.
test-lowest: | python-is-new-enough ## every test with the oldest versions that pyproject.toml admits, in .venv-lowest
	@$(PYTHON) -m venv --clear .venv-lowest
	@.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	@.venv-lowest/bin/uv pip install --python .venv-lowest/bin/python --resolution lowest-direct -e '.[test]'
	@OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -n 2 --dist loadfile -W ignore::DeprecationWarning

build: $(VENV)/.installed ## make the wheel, in dist/
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

docs: $(VENV)/.installed-test ## build the documentation site, in site/
	@NO_MKDOCS_2_WARNING=1 RADAPTER_RUN_NOTEBOOKS=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Open site/index.html."

tables: $(VENV)/.installed ## write the tables and figures of README and docs from the results.json files
	@$(BIN)/python benchmarks/tables.py

screens: $(VENV)/.installed ## draw the terminal screens of the docs
	@$(BIN)/python benchmarks/screens.py

lint: $(VENV)/.installed-test ## ruff: mistakes and layout
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.installed-test ## mypy, strict on the package
	@$(BIN)/mypy

format: $(VENV)/.installed-test ## lay the code out and fix what ruff can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench-world: $(VENV)/.installed-test ## every method on the synthetic benchmark, three seeds
	@$(BIN)/python benchmarks/world/run.py

bench-step: $(VENV)/.installed-test ## time and memory of one training step
	@$(BIN)/python benchmarks/step/run.py

bench-loss: $(VENV)/.installed-test ## time and memory of the loss, dense and tiled
	@$(BIN)/python benchmarks/loss/run.py

bench-memory: $(VENV)/.installed-test ## memory and time of large batches, at once and in chunks
	@$(BIN)/python benchmarks/memory/run.py

soak: $(VENV)/.installed-test ## kills, damage, full disks and long runs
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/soak/run.py

bench-search: $(VENV)/.installed-test ## CPU time of one query
	@$(BIN)/python benchmarks/search/run.py

# Most of the time is the sweep over the shifted sets: a fifth of their images tells the methods apart.
PACS_PART := $(foreach domain,art_painting cartoon sketch,'data.ood.$(domain).part=[0.5, 0.6]') \
	'data.transfer={cifar10: {parquet: $$RADAPTER_DATA/cifar10/test.parquet, part: [0.0, 0.05]}}'
PACS_METHODS := zero-shot,linear-probe,full,wise-ft,flyp,lora,mask-fill,r-adapter,r-adapter+head
bench-pacs: $(VENV)/.installed-test ## nine methods on real images, three seeds
	@$(BIN)/radapter compare recipes/pacs.yaml --methods $(PACS_METHODS) $(PACS_PART) --out runs/bench-pacs

bench-mining: $(VENV)/.installed-test ## how often a mined region shows its noun, on the synthetic benchmark
	@$(BIN)/python benchmarks/mining/run.py

bench-segmentation: $(VENV)/.installed-test ## time and memory of segmentation, stage by stage, full-size models
	@$(BIN)/python benchmarks/segmentation/run.py

bench-regions: $(VENV)/.installed-test ## fine-tuning on regions mined from the synthetic benchmark, three seeds
	@$(BIN)/radapter compare recipes/segmentation-world.yaml --methods zero-shot,full-image-tower,wise-ft,lora,r-adapter --out runs/bench-regions

bench-retrieval: $(VENV)/.installed-test ## image-text retrieval on the synthetic benchmark
	@$(BIN)/radapter compare recipes/retrieval-world.yaml --methods zero-shot,full-both-towers,wise-ft,lora,r-adapter --seeds 1 --out runs/bench-retrieval

bench-flickr8k: $(VENV)/.installed-test ## image-text retrieval of real photographs and captions
	@$(BIN)/radapter compare recipes/retrieval-flickr8k.yaml --methods zero-shot,full-both-towers,wise-ft,lora,r-adapter --seeds 1 --out runs/bench-flickr8k

CAMVID_PART := regions.max_regions=24 regions.min_size=150 'data.train.from_masks.part=[0.0, 0.35]' \
	'data.id_val.part=[0.0, 0.4]' 'data.id_test.part=[0.0, 0.25]' \
	'data.ood.fog.part=[0.25, 0.4]' 'data.ood.grey.part=[0.4, 0.55]'
bench-camvid: $(VENV)/.installed-test ## segmentation of real photographs before and after, per class
	@$(BIN)/radapter compare recipes/camvid.yaml --methods zero-shot,full-image-tower,wise-ft,lora,r-adapter --seeds 1 $(CAMVID_PART) --out runs/bench-camvid

bench-ablation: $(VENV)/.installed-test ## each part of R-Adapter changed alone, on the synthetic benchmark
	@$(BIN)/python benchmarks/world/run.py --methods ablation --to benchmarks/ablation

clean: ## remove what these commands made, runs excepted
	rm -rf $(VENV) .venv-lowest build dist site src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The install is editable: a second call sees changed sources without installing again.
$(VENV)/.installed: $(SETTINGS) | python-is-new-enough
	@echo "Installing into $(VENV); the first time this downloads about 3 GB (torch)."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) -e .
	@touch $@

$(VENV)/.installed-test: $(SETTINGS) | python-is-new-enough
	@echo "Installing into $(VENV) with the test tools; the first time this downloads about 3 GB (torch)."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) -e '.[test]'
	@touch $@ $(VENV)/.installed

python-is-new-enough:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "radapter needs Python 3.11 or newer. '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12 demo" >&2; \
	  exit 2; }
