# Two commands do everything on a fresh machine with Python 3.11 and make: `make demo` and `make test`.

PYTHON ?= python3.11
CORES ?= 2
LOCK ?= envs/requirements.lock
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export NUMBA_NUM_THREADS := 1

.PHONY: setup demo study test test-slow test-faults test-slurm bench docs lint format lock clean

setup: .venv/.installed

.venv/.installed: $(LOCK) pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: found no $(PYTHON); accepted is Python 3.11 (make PYTHON=/path/to/python3.11)" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "error: $(PYTHON) is not Python 3.11; the lock is for 3.11" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: setup
	$(BIN)/snakemake --cores $(CORES) --configfile config/demo.yaml
	@echo
	@echo "The report: file://$(CURDIR)/results/demo/report.html"

study: setup
	$(BIN)/snakemake --cores $(CORES)

test: setup
	$(BIN)/python -m pytest -n $(CORES) --dist loadfile --no-loadscope-reorder -m "not slow and not gpu and not slurm"

test-slow: setup
	$(BIN)/python -m pytest -m "slow"

# Fifty kills at seeded random moments in the farm alone, then over the three studies; what was recomputed, lost or doubled.
test-faults: setup
	$(BIN)/python benchmarks/farm.py --kill-rounds 50
	$(BIN)/python benchmarks/faults.py --rounds 50

# The demo through a real one-node SLURM, with accounting and without, against the demo made here; SLURM's Debian packages
# come where they may.
test-slurm: demo
	$(BIN)/python tests/slurm/one_node.py --install
	$(BIN)/python -m pytest -m "slurm" -rs tests/slurm

bench: setup
	$(BIN)/python benchmarks/axon_mechanics.py
	$(BIN)/python benchmarks/brain_mechanics.py
	$(BIN)/python benchmarks/sampling.py
	$(BIN)/python benchmarks/surrogate.py
	$(BIN)/python benchmarks/farm.py
	$(BIN)/python benchmarks/overheads.py
	$(BIN)/python benchmarks/thresholds.py
	$(BIN)/python benchmarks/calcium.py

# The documentation as a site that needs no network, in build/site; a broken link or anchor ends the build.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation: file://$(CURDIR)/build/site/index.html"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

# Both locks from envs/requirements.in: the CPU one from this environment, the CUDA one resolved by uv.
lock: setup
	$(BIN)/python -m pip install --quiet --upgrade -r envs/requirements.in
	$(BIN)/python -m pip freeze --all --exclude-editable | grep -viE '^(pip|understudy)==' | sed 's/+cpu//' > envs/requirements.lock
	$(PYTHON) -m venv .venv-uv && .venv-uv/bin/pip install --quiet uv
	{ echo "# CUDA: the same pins with the CUDA build of torch and its libraries, for Linux x86-64 and Python 3.11."; \
	  .venv-uv/bin/uv pip compile envs/requirements.in --python-version 3.11 --no-annotate --no-header \
	  -c envs/requirements.lock; } > envs/requirements-cuda.lock
	rm -rf .venv-uv

# Outputs only: published reference results and the environment stay.
clean:
	find results -mindepth 1 -maxdepth 1 ! -name reference -exec rm -rf {} + 2>/dev/null || true
	rm -rf .snakemake
