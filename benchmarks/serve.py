"""The simulated lab over TCP: a run's images per second beside those in process, and a client's round trip beside 400
connections that were opened and never say anything.

The server is a process of its own, as ``labctl sim serve`` starts it, and the quantities compared are measured in turn.
Writes JSON to standard output and to a dated file under ``results/``. Machines differ: the figures to quote are the
ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np

from labctl import __version__
from labctl.config import load_bench
from labctl.engine import RunControl
from labctl.events import EventBus, ImageFinished, StateChanged
from labctl.experiment import load_experiment
from labctl.session import run_experiment

#: Within what a new connection may stay silent, so that all are there during a measurement.
WINDOW_S = 1.0
QUESTION, END = b"*IDN?\n", b"\n"


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Path]:
    """The bench file of a served ideal bench."""
    bench = folder / "served.bench.toml"
    words = ["sim", "serve", "ideal", "--port-base", "0", "--write", str(bench)]
    with subprocess.Popen([sys.executable, "-m", "labctl.cli", *words], stderr=subprocess.DEVNULL) as process:
        while not bench.exists():
            if process.poll() is not None:
                raise RuntimeError("the server did not start")
            time.sleep(0.05)
        yield bench
        process.terminate()


def images_per_s(run: str, bench: str | None, images: int) -> float:
    """Of a run, opening the bench and loading waveforms not counted."""
    times = {}

    def state(event: StateChanged) -> None:
        if event.state == "running":
            times["start"] = time.perf_counter()

    def image(event: ImageFinished) -> None:
        times["end"] = time.perf_counter()

    bus = EventBus()
    bus.subscribe(StateChanged, state)
    bus.subscribe(ImageFinished, image)
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_experiment(load_experiment(run, bench=bench, images=images), bus, RunControl(), Path(folder))
    if outcome.error is not None:
        raise outcome.error
    return images / (times["end"] - times["start"])


def addresses(bench: Path) -> list[tuple[str, int]]:
    """Of the raw sockets, the server's generator first."""
    config = load_bench(bench)
    names = sorted(config.instruments, key=lambda name: name != "server_awg")
    found = [config.instruments[name].resource.split("::") for name in names]
    return [(parts[1], int(parts[2])) for parts in found if parts[-1] == "SOCKET"]


def round_trip_s(client: socket.socket) -> float:
    """Median over a window."""
    times = []
    end = time.perf_counter() + WINDOW_S
    while (start := time.perf_counter()) < end:
        client.sendall(QUESTION)
        while not client.recv(4096).endswith(END):
            pass
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def round_trips(bench: Path, crowd: int, windows: int) -> dict[str, list[float]]:
    """Seconds, alone and in company, in turn."""
    ports = addresses(bench)
    found: dict[str, list[float]] = {"alone": [], "crowded": []}
    with contextlib.closing(socket.create_connection(ports[0])) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        round_trip_s(client)
        for _ in range(windows):
            found["alone"].append(round_trip_s(client))
            with contextlib.ExitStack() as stack:
                for index in range(crowd):
                    silent = socket.create_connection(ports[index % len(ports)])
                    stack.callback(silent.close)
                found["crowded"].append(round_trip_s(client))
            time.sleep(WINDOW_S / 2)  # for the server to notice that they have gone
    return found


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", default="digits")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--crowd", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    rates: dict[str, list[float]] = {"in_process": [], "over_tcp": []}
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as bench:
        for _ in range(arguments.repeats):
            rates["in_process"].append(images_per_s(arguments.run, None, arguments.images))
            rates["over_tcp"].append(images_per_s(arguments.run, str(bench), arguments.images))
        trips = round_trips(bench, arguments.crowd, arguments.repeats)
    result = {
        "benchmark": "serve",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "labctl": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "run": arguments.run,
        "images": arguments.images,
        "repeats": arguments.repeats,
        "half_open_connections": arguments.crowd,
        "crowded_over_alone": _spread(_ratios(trips["crowded"], trips["alone"])),
        "over_tcp_over_in_process": _spread(_ratios(rates["over_tcp"], rates["in_process"])),
        **{f"{name}_images_per_s": _spread(values) for name, values in rates.items()},
        **{f"{name}_round_trip_us": _spread([1e6 * value for value in values]) for name, values in trips.items()},
    }
    text = json.dumps(result, indent=2)
    sys.stdout.write(text + "\n")
    arguments.out.mkdir(parents=True, exist_ok=True)
    name = f"serve-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    (arguments.out / name).write_text(text + "\n")


def _ratios(above: list[float], below: list[float]) -> list[float]:
    return [one / other for one, other in zip(above, below, strict=True)]


def _spread(values: list[float]) -> dict[str, float | list[float]]:
    return {
        "median": round(statistics.median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
    }


if __name__ == "__main__":
    main()
