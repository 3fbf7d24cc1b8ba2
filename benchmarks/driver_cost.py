"""What a driver costs beside raw pyvisa on the same VISA library, interleaved in one process.

    python benchmarks/driver_cost.py [--repeats 200] [--long-repeats 60] [--out FOLDER]

On the shipped ideal bench ("@labctl"), both sides talking to the same simulated instruments. ``raw`` is pyvisa alone
doing what the driver does; the limits are for that. Other ways to use pyvisa stand beside it, which do less or more:

* One value read or set: ``times_raw``, the driver's time over pyvisa's. A raw set is a write, then the error query (and
  ``*OPC?`` where the driver waits for it); ``bare_write`` is a write that nobody checks.
* A waveform of a million samples: ``rate_over_raw``, the driver's samples per second over pyvisa's, which compares the
  codes with the converter's range, makes a block of the numpy array, and hands it to ``write_raw`` before the error
  query. ``unchecked_block`` does not look at the codes, ``ready_message`` sends a message made before, and
  ``write_binary_values`` leaves the block to pyvisa.
* A trace of a million samples: ``query_binary_values`` into a numpy array as it comes (``raw``), and with a buffer for
  the whole trace (``raw_with_room``).

Each ratio is taken between neighbours in time; medians and quartiles. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
import pyvisa
from pyvisa.resources import MessageBasedResource

from drivers.keysight_infiniivision import InfiniiVision
from drivers.keysight_m8190a import M8190A
from drivers.keysight_n7764a import N7764A
from drivers.santec_tsl570 import TSL570
from drivers.visa import VisaLibrary
from labctl import __version__
from labctl.clock import Clock
from labctl.config import load_bench
from labctl.shipped import bench_path

LIBRARY = "@labctl"
#: A million samples, as the generator's granularity of 48 allows.
WAVEFORM_SAMPLES = 1_000_032
TRACE_SAMPLES = 1_000_000
RATE_HZ = 125e6
#: The 14-bit samples stand above two marker bits.
MARKER_BITS = 2
#: Values read or set in a row, and a million samples moved in a row, timed together.
BATCH, LONG_BATCH = 20, 3
ERROR_QUERY = ":SYSTem:ERRor?"
#: A get or set may take this many times what pyvisa takes; a waveform or trace must reach this part of its rate.
MOST_TIMES_RAW = 2.0
LEAST_RATE_OVER_RAW = 0.8

Action = Callable[[], object]


@dataclass(frozen=True)
class Comparison:
    """One operation through the driver, and the same in raw pyvisa in one or more ways, by the name of the ratio.

    The first of ``raw`` is the one that the limit is for. ``samples``: moved per operation; 0: one value.
    """

    driver: Action
    raw: Mapping[str, Action]
    samples: int = 0

    def measure(self, repeats: int) -> dict[str, object]:
        """Medians and quartiles of the ratios and of each side's own speed."""
        found: dict[str, object] = {}
        for name, raw in self.raw.items():
            pairs = self._pairs(raw, repeats)
            ratios = [raw_s / driver_s if self.samples else driver_s / raw_s for driver_s, raw_s in pairs]
            if not found:
                median = statistics.median(ratios)
                found["met"] = median >= LEAST_RATE_OVER_RAW if self.samples else median <= MOST_TIMES_RAW
            found[("rate_over_" if self.samples else "times_") + name] = {
                **_spread(ratios, 3),
                "driver": self._speed([driver_s for driver_s, _ in pairs]),
                name: self._speed([raw_s for _, raw_s in pairs]),
            }
        return found

    def _pairs(self, raw: Action, repeats: int) -> list[tuple[float, float]]:
        """Seconds per operation of both sides, one right after the other, each of them first in turn."""
        batch = LONG_BATCH if self.samples else BATCH
        found = []
        for repeat in range(repeats):
            if repeat % 2:
                driver_s = _seconds(self.driver, batch)
                found.append((driver_s, _seconds(raw, batch)))
            else:
                raw_s = _seconds(raw, batch)
                found.append((_seconds(self.driver, batch), raw_s))
        return found

    def _speed(self, times: list[float]) -> str:
        median_s = statistics.median(times)
        return f"{self.samples / median_s / 1e6:.0f} MSa/s" if self.samples else f"{median_s * 1e6:.1f} us"


def _seconds(action: Action, batch: int) -> float:
    """Per operation; one before the clock starts finds memory and caches as its own side leaves them."""
    action()
    start = time.perf_counter()
    for _ in range(batch):
        action()
    return (time.perf_counter() - start) / batch


class Desk:
    """The ideal bench, reached through drivers and through raw pyvisa."""

    def __init__(self) -> None:
        self.library = VisaLibrary(LIBRARY)
        self.clock: Clock = self.library.clock()
        self._manager = pyvisa.ResourceManager(LIBRARY)
        self._resources = {name: entry.resource for name, entry in load_bench(bench_path("ideal")).instruments.items()}

    def resource(self, name: str) -> str:
        """VISA resource of an instrument of the bench."""
        return self._resources[name]

    def raw(self, name: str, terminator: str = "\n") -> MessageBasedResource:
        """The instrument as pyvisa opens it."""
        opened = self._manager.open_resource(self.resource(name))
        assert isinstance(opened, MessageBasedResource)
        opened.read_termination = opened.write_termination = terminator
        opened.timeout = 10_000
        return opened

    def close(self) -> None:
        """The lab ends with its last user."""
        self.library.close()
        self._manager.close()


def checked(line: MessageBasedResource, command: str, *queries: str) -> Action:
    """Write, ask for errors, and ask what else the driver asks."""

    def act() -> None:
        line.write(command)
        for query in (ERROR_QUERY, *queries):
            line.query(query)

    return act


def laser_values(desk: Desk) -> dict[str, Comparison]:
    """The wavelength, read and set."""
    laser = TSL570("laser", desk.resource("laser"), desk.library, desk.clock)
    laser.open()
    line = desk.raw("laser", "\r")
    wavelength_m = 1550.12e-9
    command = f":WAVelength {wavelength_m:.9e}"
    return {
        "TSL-570, wavelength read": Comparison(laser.wavelength, {"raw": lambda: float(line.query(":WAVelength?"))}),
        "TSL-570, wavelength set": Comparison(
            lambda: laser.set_wavelength(wavelength_m),
            {"raw": checked(line, command, "*OPC?"), "bare_write": lambda: line.write(command)},
        ),
    }


def attenuator_values(desk: Desk) -> dict[str, Comparison]:
    """One channel's attenuation, which the driver gets together with the channel's offset."""
    attenuator = N7764A("attenuator", desk.resource("attenuator"), desk.library, desk.clock)
    attenuator.open()
    line = desk.raw("attenuator")
    queries = (":INPut1:ATTenuation?", ":INPut1:OFFSet?")
    command = ":INPut1:OFFSet 0DB;:INPut1:ATTenuation 3DB"
    return {
        "N7764A, attenuation read": Comparison(
            lambda: attenuator.attenuation(1),
            {"raw": lambda: [float(line.query(query)) for query in queries]},
        ),
        "N7764A, attenuation set": Comparison(
            lambda: attenuator.set_attenuation(1, 3.0),
            {"raw": checked(line, command), "bare_write": lambda: line.write(command)},
        ),
    }


def waveform(desk: Desk) -> dict[str, Comparison]:
    """A segment replaced by another one of the same length, errors asked for afterwards on both sides."""
    generator = M8190A("server_awg", desk.resource("server_awg"), desk.library, desk.clock)
    generator.open()
    generator.configure(RATE_HZ, {1: 0.7})
    codes = np.random.default_rng(1).integers(-8000, 8000, WAVEFORM_SAMPLES, np.int16)
    generator.load(1, {1: codes})
    line = desk.raw("server_awg")
    digits = str(codes.nbytes)
    header = f":TRACe1:DATA 1,0,#{len(digits)}{digits}".encode()
    limits = generator.capabilities

    def sent(message: bytes) -> None:
        line.write_raw(message)
        line.query(ERROR_QUERY)

    def block() -> bytes:
        return b"".join([header, (codes << MARKER_BITS).data, b"\n"])

    def checked_block() -> None:
        if codes.min() < limits.code_min or codes.max() > limits.code_max:
            raise ValueError("a code is out of range")
        sent(block())

    def values() -> None:
        line.write_binary_values(":TRACe1:DATA 1,0,", codes << MARKER_BITS, datatype="h", is_big_endian=False)
        line.query(ERROR_QUERY)

    ready = block()
    driver = Comparison(
        lambda: generator.load(1, {1: codes}),
        {
            "raw": checked_block,
            "unchecked_block": lambda: sent(block()),
            "ready_message": lambda: sent(ready),
            "write_binary_values": values,
        },
        WAVEFORM_SAMPLES,
    )
    return {"M8190A, waveform loaded": driver}


def trace(desk: Desk) -> dict[str, Comparison]:
    """One record, read again and again."""
    scope = InfiniiVision("client_scope", desk.resource("client_scope"), desk.library, desk.clock)
    scope.open()
    line = desk.raw("client_scope")
    roomy = desk.raw("client_scope")
    roomy.chunk_size = 4 * TRACE_SAMPLES
    scope.configure({1: 8.0}, 1 / RATE_HZ, TRACE_SAMPLES)
    scope.arm()
    line.write(":TRIGger:FORCe")
    scope.wait()

    def read(through: MessageBasedResource) -> object:
        command = ":WAVeform:SOURce CHANnel1;:WAVeform:DATA?"
        return through.query_binary_values(command, datatype="h", is_big_endian=False, container=np.array)

    driver = Comparison(
        lambda: scope.read(1),
        {"raw": lambda: read(line), "raw_with_room": lambda: read(roomy)},
        TRACE_SAMPLES,
    )
    return {"InfiniiVision, trace read": driver}


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200, help=f"of {BATCH} values each")
    parser.add_argument("--long-repeats", type=int, default=60, help=f"of {LONG_BATCH} million samples each")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    desk = Desk()
    measured = {}
    for part in (laser_values, attenuator_values, waveform, trace):
        for name, comparison in part(desk).items():
            measured[name] = comparison.measure(arguments.long_repeats if comparison.samples else arguments.repeats)
    desk.close()
    result = {
        "benchmark": "driver_cost",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "labctl": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pyvisa": pyvisa.__version__,
        "machine": platform.machine(),
        "most_times_raw": MOST_TIMES_RAW,
        "least_rate_over_raw": LEAST_RATE_OVER_RAW,
        **measured,
    }
    text = json.dumps(result, indent=2)
    sys.stdout.write(text + "\n")
    arguments.out.mkdir(parents=True, exist_ok=True)
    name = f"driver-cost-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    (arguments.out / name).write_text(text + "\n")


def _spread(values: list[float], digits: int) -> dict[str, float | list[float]]:
    low, _, high = statistics.quantiles(values, n=4)
    return {
        "median": round(statistics.median(values), digits),
        "quartiles": [round(value, digits) for value in (low, high)],
    }


if __name__ == "__main__":
    main()
