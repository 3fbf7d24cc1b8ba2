"""Files of others, damaged or made to harm: run files, networks, data sets, calibrations, configuration and ledgers.

    python benchmarks/hostile.py [--cases 10000] [--seed 1]

A case is a file that labctl wrote, with bytes exchanged, left out, doubled, put in or cut off, or changed with a
purpose: links, types, sizes and filters in HDF5, values, nesting and paths in TOML, headers of networks. It is read as
the commands read it, and must end in a value or in an error of labctl's, in this process, within four seconds. What has
a checksum and is read must be what was written, number for number: run files (of format 2), networks that labctl
wrote, results of calibrations and their curves, data sets (zip's CRC-32) the same, ledgers the same or an earlier state
of the same (lines missing at the end are an earlier state). Of a network without a digest, a RUN.toml or a bench file
nobody can tell. Prints one JSON object; exit status 1 when a case failed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from mutants import Rng, bytes_changed, hdf5_changed, header_changed, resealed, text_changed

from labctl import __version__
from labctl.calibrate import calibrate
from labctl.calibration.store import Store
from labctl.config import load_bench
from labctl.datasets import load_dataset
from labctl.errors import LabctlError
from labctl.experiment import load_experiment
from labctl.ledger.data import data_book, data_charges
from labctl.ledger.weights import weights_book, weights_charges
from labctl.models import load_network, save_network
from labctl.record import Run, open_run
from labctl.session import run
from labctl.shipped import bench_path
from sim_backends.lab import Lab

SLOW_S = 4.0
#: How much the process may grow after the first tenth of the cases, bytes.
GROWTH = 256 << 20

RUN = """dataset = "digits"
model = "digits"
bench = "ideal"
gain = 2.0
mean_photons = 4.0
images = 40
seed = 3
confidence = 0.95
false_alarm_rate = 1e-3
on_alarm = "stop"
operator = "M. Muster"
note = "a note"

[ledger.weights]
file = "server.ledger"
bits_per_weight_budget = 100.0

[ledger.data]
file = "client.ledger"
bits_per_symbol_budget = 100.0
"""


@dataclass(frozen=True)
class Kind:
    """One kind of file: its good content, what damages it, and what reads it and says whether that is a wrong load."""

    name: str
    suffix: str
    good: bytes
    damage: Callable[[Rng, bytes], bytes]
    read: Callable[[Path], str]
    share: int


def same(one: Any, other: Any) -> bool:
    """Equal in every number; NaN equals NaN."""
    if is_dataclass(one):
        return type(one) is type(other) and all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (tuple, list)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        alike = isinstance(other, np.ndarray) and one.dtype == other.dtype
        return alike and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return type(one) is type(other) and bool(one == other or (one != one and other != other))


def reads_run(good: Run) -> Callable[[Path], str]:
    """A reader that compares with what was written."""

    def read(path: Path) -> str:
        found = open_run(path)
        if same(replace(found, path=good.path), good):
            return "same"
        return "wrong"

    return read


# --- networks, data sets --------------------------------------------------------------------------


def reads_network(digest: str, checked: bool) -> Callable[[Path], str]:
    """A reader that compares weights and geometry."""

    def read(path: Path) -> str:
        same = load_network(path).digest == digest
        return "same" if same else "wrong" if checked else "changed, and there is no checksum"

    return read


def reads_data(good: Path) -> Callable[[Path], str]:
    """A reader that compares all but the name, which is the file's."""
    due = load_dataset(str(good), "test", None)

    def read(path: Path) -> str:
        return "same" if same(replace(load_dataset(str(path), "test", None), name=due.name), due) else "wrong"

    return read


# --- results of calibrations ----------------------------------------------------------------------


def calibrated(folder: Path) -> Path:
    """A store with one result; returns the file."""
    path = bench_path("telecom")
    calibrate(path, load_bench(path), Store(folder, "telecom"), only=["electronic-noise"], seed=1)
    (result,) = folder.glob("0*.toml")
    return result


def reads_calibration(place: Path, sealed: bool) -> Callable[[Path], str]:
    """A reader that puts the file at ``place`` in a store, and compares what counts then with what counted before.

    ``sealed``: whether a checksum tells that something was changed.
    """
    config, now_s = load_bench(bench_path("telecom")), time.time()
    whole, due = place.read_bytes(), Store(place.parent, "telecom").in_force(config, now_s)

    def read(path: Path) -> str:
        place.write_bytes(path.read_bytes())
        try:
            if same(Store(place.parent, "telecom").in_force(config, now_s), due):
                return "same"
            return "wrong" if sealed else "loaded"
        finally:
            place.write_bytes(whole)

    return read


# --- configuration --------------------------------------------------------------------------------


def reads_configuration(path: Path) -> str:
    """All that is checked before instruments are opened."""
    load_experiment(path)
    return "loaded"


def reads_bench(path: Path) -> str:
    """Bench and simulated lab."""
    load_bench(path)
    Lab(path)
    return "loaded"


# --- ledgers --------------------------------------------------------------------------------------


def reads_ledger(good: bytes, account: str) -> Callable[[Path], str]:
    """A reader that compares with what was written."""

    def read(path: Path) -> str:
        book = weights_book(path) if account == "weights" else data_book(path)
        page = book.read()
        (weights_charges if account == "weights" else data_charges)(page, path)
        if page.raw == good:
            return "same"
        return "an earlier state" if good.startswith(page.raw) else "wrong"

    return read


# --- the cases ------------------------------------------------------------------------------------


def kinds(folder: Path) -> list[Kind]:
    """Good files of all kinds, made by labctl itself."""
    path = folder / "job.toml"
    path.write_text(RUN)
    outcome = run(path, out_dir=folder)
    assert outcome.run_file is not None
    network = load_network("digits")
    save_network(network, folder / "good.safetensors")
    pictures, labels = np.random.default_rng(1).integers(0, 256, (20, 4, 4), np.uint8), np.arange(20) % 10
    np.savez(folder / "good.npz", images=pictures, labels=labels)
    np.savez_compressed(folder / "packed.npz", images=pictures / 255, labels=labels)
    model, old = (folder / "good.safetensors").read_bytes(), bench_path("ideal").read_bytes()
    shipped = (Path(sys.modules["labctl"].__file__ or "").parent / "models/weights/digits.safetensors").read_bytes()
    result = calibrated(folder / "store")
    curves = result.with_suffix(".npz")
    plain, packed = folder / "good.npz", folder / "packed.npz"
    weights, data = ((folder / f"{name}.ledger").read_bytes() for name in ("server", "client"))
    return [
        Kind("run", "h5", outcome.run_file.read_bytes(), hdf5_changed, reads_run(open_run(outcome.run_file)), 31),
        Kind("model", "safetensors", model, header_changed, reads_network(network.digest, True), 14),
        Kind(
            "network without a digest", "safetensors", shipped, header_changed, reads_network(network.digest, False), 4
        ),
        Kind("data set", "npz", plain.read_bytes(), bytes_changed, reads_data(plain), 4),
        Kind("packed data set", "npz", packed.read_bytes(), bytes_changed, reads_data(packed), 4),
        Kind("result of a calibration", "toml", result.read_bytes(), text_changed, reads_calibration(result, True), 4),
        Kind("result with a new checksum", "toml", result.read_bytes(), resealed, reads_calibration(result, False), 3),
        Kind("its curves", "npz", curves.read_bytes(), bytes_changed, reads_calibration(curves, True), 2),
        Kind("run configuration", "toml", RUN.encode(), text_changed, reads_configuration, 10),
        Kind("bench", "bench.toml", old, text_changed, reads_bench, 12),
        Kind("weights ledger", "ledger", weights, bytes_changed, reads_ledger(weights, "weights"), 6),
        Kind("data ledger", "ledger", data, bytes_changed, reads_ledger(data, "data"), 6),
    ]


def cases_of(kind: Kind, rng: Rng, count: int, folder: Path) -> Iterator[tuple[str, float, bytes]]:
    """How each of ``count`` cases ended, in how many seconds, and its content."""
    path = folder / f"case.{kind.suffix}"
    for _ in range(count):
        content = kind.damage(rng, kind.good)
        path.write_bytes(content)
        ended, seconds = one_case(kind, path)
        if seconds > SLOW_S:  # once more: a machine that is busy with something else is no hang
            ended, seconds = one_case(kind, path)
        yield ended, seconds, content


def one_case(kind: Kind, path: Path) -> tuple[str, float]:
    """How reading a file ended, and in how many seconds."""
    begun = time.perf_counter()
    try:
        ended = kind.read(path)
    except LabctlError:
        ended = "refused"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        ended = f"{type(error).__name__}: {str(error)[:200]}"
    return ended, time.perf_counter() - begun


GOOD_ENDS = ("refused", "same", "loaded", "changed, and there is no checksum", "an earlier state")


def resident() -> int:
    """Bytes of memory in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def attack(cases: int, seed: int, keep: Path | None) -> dict[str, Any]:
    """All kinds by their shares. ``keep``: a folder for the contents that failed."""
    found: dict[str, Any] = {}
    failures: list[str] = []
    slowest, warm, done = 0.0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        every = kinds(folder)
        os.mkfifo(folder / "pipe.safetensors")
        for number, kind in enumerate(every):
            ended: Counter[str] = Counter()
            slow, rng = 0.0, np.random.default_rng([seed, number])
            for end, seconds, content in cases_of(kind, rng, cases * kind.share // 100, folder):
                ended[end] += 1
                slow = max(slow, seconds)
                done += 1
                warm = resident() if done == cases // 10 else warm
                if end not in GOOD_ENDS or seconds > SLOW_S:
                    failures.append(f"{kind.name}: {end}, {seconds:.1f} s")
                    sys.stderr.write(failures[-1] + "\n")
                    if keep is not None:
                        (keep / f"{len(failures)}.{kind.suffix}").write_bytes(content)
            found[kind.name] = {"ended": dict(ended), "slowest_s": round(slow, 3)}
            slowest = max(slowest, slow)
    growth = resident() - warm
    return {
        "cases": done,
        "seed": seed,
        "kinds": found,
        "failures": failures[:20],
        "failure_count": len(failures),
        "slowest_s": round(slowest, 3),
        "growth_bytes": growth,
        "passed": not failures and growth < GROWTH,
    }


def main() -> int:
    """Exit status 1 when a case failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the files that failed")
    arguments = parser.parse_args()
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    start = datetime.now(UTC).isoformat(timespec="seconds")
    found = attack(arguments.cases, arguments.seed, arguments.keep)
    sys.stdout.write(json.dumps({"date": start, "labctl": __version__, **found}, indent=2) + "\n")
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
