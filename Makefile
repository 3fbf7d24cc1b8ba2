# make demo    set everything up and run the main job on the simulated bench
# make test    set everything up, then check style, types, import rules, and run the tests
# make lint    the checks of `make test` without the tests
# make bench   all benchmarks, one after the other
# make bench-throughput   the simulated path beside the bare physics kernel
# make bench-kernels    kernels of the simulated optics beside the plain ways
# make bench-waveform   throughput of the waveform mode
# make bench-serve   the simulated bench over TCP beside the one in process
# make bench-window   the window while a full-speed run goes on
# make bench-drivers    what drivers cost beside raw pyvisa
# make bench-record   what crash-safe writing costs beside raw HDF5
# make bench-growth    how cost and memory grow
# make bench-startup   how long the command takes to start
# make performance   docs/performance.md from the newest outputs of the benchmarks
# make soak    the long run
# make lock    renew requirements.lock (add LOCK_ARGS=--upgrade to take newer releases)
# make clean   remove the environment, builds and caches; run files stay
#
# Arguments: make demo DEMO_ARGS="--images 50"   make test PYTEST_ARGS="-k world -x"
#            make pytest PYTEST_WORKERS=   (one process, for a debugger)
#            make demo PYTHON=/path/to/python3.12

BIN := .venv/bin
DEMO_ARGS :=
BENCH_ARGS :=
SOAK_ARGS :=
PYTEST_ARGS :=
# A process per processor and one more, since many tests wait for programs that they started; each has files of its own.
# None: all in one.
PYTEST_WORKERS := --numprocesses=$(shell expr $$(nproc) + 1) --dist=worksteal
LOCK_ARGS :=

export PYTHON

# Rows are split over processes; threads inside the linear algebra only get in the way.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1

.PHONY: demo test lint pytest bench bench-throughput bench-kernels bench-waveform bench-serve bench-drivers \
    bench-record bench-window bench-growth bench-startup performance soak lock clean env test-env
.NOTPARALLEL:

demo: env
	$(BIN)/labctl demo $(DEMO_ARGS)

test: test-env lint pytest

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# Offscreen unless QT_QPA_PLATFORM=xcb asks for windows; those need a display, if only a virtual one.
pytest:
	@if [ "$${QT_QPA_PLATFORM:-offscreen}" = xcb ] && [ -z "$$DISPLAY" ]; then \
	    exec xvfb-run --auto-servernum $(BIN)/pytest $(PYTEST_WORKERS) $(PYTEST_ARGS); \
	else \
	    exec $(BIN)/pytest $(PYTEST_WORKERS) $(PYTEST_ARGS); \
	fi

bench: bench-throughput bench-kernels bench-waveform bench-serve bench-drivers bench-record bench-window \
    bench-growth bench-startup performance

bench-throughput: env
	$(BIN)/python benchmarks/throughput.py $(BENCH_ARGS)

bench-kernels: env
	$(BIN)/python benchmarks/kernels.py $(BENCH_ARGS)

bench-waveform: env
	$(BIN)/python benchmarks/waveform.py $(BENCH_ARGS)

bench-serve: env
	$(BIN)/python benchmarks/serve.py $(BENCH_ARGS)

bench-drivers: env
	$(BIN)/python benchmarks/driver_cost.py $(BENCH_ARGS)

bench-record: env
	$(BIN)/python benchmarks/record.py $(BENCH_ARGS)

bench-window: env
	$(BIN)/python benchmarks/window.py $(BENCH_ARGS)

bench-growth: env
	$(BIN)/python benchmarks/growth.py $(BENCH_ARGS)

bench-startup: env
	$(BIN)/python benchmarks/startup.py $(BENCH_ARGS)

performance: env
	$(BIN)/python scripts/performance_page.py

soak: env
	$(BIN)/python benchmarks/soak.py $(SOAK_ARGS)

lock: env
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --no-config --universal --fork-strategy fewest \
	    --python-version 3.11 --generate-hashes --extra test --extra accel \
	    --custom-compile-command "make lock" $(LOCK_ARGS) \
	    --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis \
	    .import_linter_cache .grimp_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

env:
	@scripts/setup.sh env

test-env:
	@scripts/setup.sh test
