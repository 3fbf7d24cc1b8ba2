"""Throughput of the waveform mode on one core: simulate, receive, estimate.

    python benchmarks/waveform.py [--symbols 1000000] [--repeats 7] [--bench both] [--out FOLDER]

Dual-quadrature records at 4 samples per symbol, root raised cosine, a pilot every 16 symbols. ``ideal``: nothing but
shot noise and losses. ``imperfect``: most of what docs/physics.md, section 4a, lists at once, received with constants
from calibration records. Data symbols per second of wall time, and of the process's own processor time where
others use the machine as well; one thread. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
import scipy

from labctl import __version__
from labctl.dsp.frame import PilotFrame
from labctl.dsp.matched import FrontEnd
from labctl.dsp.procedure import CalibrationRecords, calibrate
from labctl.dsp.pulses import root_raised_cosine
from labctl.dsp.receive import ReceiverConstants, SymbolReceiver
from labctl.dsp.recording import Recording
from labctl.protocol.estimation import Estimate, Receiver, estimate, residual_sums
from labctl.protocol.gates import GateLimits
from sim_backends.waveform import Link
from sim_backends.waveform_config import LaserPhysics, LowPass, ReceiverPhysics, TransmitterPhysics, WaveformPhysics

PULSE = root_raised_cosine(4, 0.4)
FRAME = PilotFrame(16, 40.0)
#: The imperfect bench leaves 3e-3 rad² of phase noise.
LIMITS = GateLimits(phase_variance=0.01)
T = TypeVar("T")

#: V_A in SNU.
MODULATION = 8.0
CALIBRATION_SYMBOLS = 500_000

IDEAL = WaveformPhysics(500e6, transmittance=0.8)
IMPERFECT = WaveformPhysics(
    500e6,
    TransmitterPhysics(
        peak_amplitude=100.0,
        generator_bits=14,
        generator_full_scale_v=1.1,
        generator_low_pass=LowPass(180e6),
        driver_low_pass=LowPass(220e6),
        extinction_ratio_db=45.0,
        bias_i_v=0.002,
    ),
    LaserPhysics(10e3, 5e-6, rin_db_hz=-155.0),
    transmittance=0.8,
    receiver=ReceiverPhysics(
        efficiency=0.9,
        electronic_noise_snu=0.05,
        cmrr_db=35.0,
        low_pass=LowPass(200e6),
        skew_s=0.7e-9,
        angle_error_rad=0.05,
        gain_ratio=1.1,
        adc_bits=12,
        adc_full_scale_v=2.0,
    ),
)


def modulation(generator: np.random.Generator, count: int, variance: float) -> np.ndarray:
    """Gaussian α with the variance of 2 Re α and 2 Im α."""
    draws = generator.standard_normal(2 * count, dtype=np.float32)
    return (draws * np.float32(math.sqrt(variance) / 2)).view(np.complex64)


def record(physics: WaveformPhysics, symbols: np.ndarray, generator: np.random.Generator) -> Recording:
    """What the receiver's digitizer stores."""
    result = Link(physics, PULSE).record(symbols, generator)
    return Recording(result.samples, result.volts_per_unit, result.clipped_samples)


def constants(physics: WaveformPhysics, generator: np.random.Generator) -> ReceiverConstants:
    """By calibration where there is something to calibrate."""
    if physics is IDEAL:
        return ReceiverConstants(FrontEnd((PULSE.centre, PULSE.centre), (0.02, 0.02)))
    darkness = np.zeros(CALIBRATION_SYMBOLS, np.complex64)
    sent = modulation(generator, 100_000, 400.0)
    blocked = dataclasses.replace(physics, transmittance=0.0)
    unlit = dataclasses.replace(blocked, receiver=dataclasses.replace(physics.receiver, lo_power_w=0.0))
    records = CalibrationRecords(
        record(blocked, darkness, generator),
        record(unlit, darkness, generator),
        record(physics, FRAME.interleave(sent), generator),
        sent,
    )
    return calibrate("server", records, PULSE, FRAME, LIMITS)


class Pass:
    """One bench; every call simulates, receives and estimates anew, and notes how long each took."""

    def __init__(self, physics: WaveformPhysics, symbols: int, generator: np.random.Generator) -> None:
        self._physics = physics
        self._generator = generator
        known = constants(physics, generator)
        self._receiver = SymbolReceiver("server", PULSE, FRAME, known, LIMITS)
        self._model = Receiver(0.5, physics.receiver.efficiency, known.sigma0_sq, known.samples)
        self._sent = modulation(generator, symbols, MODULATION)
        self._launched = np.stack([2 * self._sent.real, 2 * self._sent.imag])
        self.parts: dict[str, list[float]] = {"simulate": [], "receive": [], "estimate": []}

    def __call__(self) -> Estimate:
        recording = self._timed(
            "simulate", lambda: record(self._physics, FRAME.interleave(self._sent), self._generator)
        )
        received = self._timed("receive", lambda: self._receiver.receive(recording, len(self._sent)))
        return self._timed(
            "estimate", lambda: estimate(residual_sums(self._launched, received.quadratures()), self._model)
        )

    def _timed(self, part: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = work()
        self.parts[part].append(time.perf_counter() - start)
        return result


def measure(physics: WaveformPhysics, symbols: int, repeats: int) -> dict[str, object]:
    """Rates over ``repeats`` passes, after one that does not count."""
    once = Pass(physics, symbols, np.random.Generator(np.random.SFC64(1)))
    found = once()
    for values in once.parts.values():
        values.clear()
    wall, processor = [], []
    for _ in range(repeats):
        start, start_cpu = time.perf_counter(), time.process_time()
        found = once()
        wall.append(symbols / (time.perf_counter() - start))
        processor.append(symbols / (time.process_time() - start_cpu))
    return {
        "symbols_per_s": _spread(wall),
        "symbols_per_cpu_s": _spread(processor),
        "seconds": {part: round(statistics.median(values), 4) for part, values in once.parts.items()},
        "transmittance": round(found.transmittance, 5),
        "excess_snu": round(found.excess, 5),
        "excess_se_snu": round(found.excess_se, 5),
    }


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--symbols", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--bench", choices=("ideal", "imperfect", "both"), default="both")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    benches = {"ideal": IDEAL, "imperfect": IMPERFECT}
    chosen = [name for name in benches if arguments.bench in (name, "both")]
    result = {
        "benchmark": "waveform",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "labctl": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": platform.machine(),
        "symbols": arguments.symbols,
        "samples_per_symbol": PULSE.samples_per_symbol,
        "repeats": arguments.repeats,
        **{name: measure(benches[name], arguments.symbols, arguments.repeats) for name in chosen},
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    text = json.dumps(result, indent=2)
    sys.stdout.write(text + "\n")
    arguments.out.mkdir(parents=True, exist_ok=True)
    name = f"waveform-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    (arguments.out / name).write_text(text + "\n")


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values)), "min": round(min(values)), "max": round(max(values))}


if __name__ == "__main__":
    main()
