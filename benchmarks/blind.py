"""Blind calibration: benches of telecom parts with hidden true values, calibrated through the drivers, then revealed.

    python benchmarks/blind.py [--benches 50] [--seed 1] [--runs] [--out FOLDER]

For each bench a process of its own draws the true values, serves the simulated lab over TCP, and tells nothing but
where the instruments are. The lab is calibrated from here and the results are stored; only then the process is asked
for the truth. Of every quantity's 95 % intervals 90 to 99 % must hold it, all quantities together, and of one quantity
alone as many as lie within the central 99.9 % of the binomial distribution. ``--runs``: then each bench's own noise is
measured, and it infers the digits honestly, twice 100 images that are taken to their end and judged at several rates;
of all these runs as many must have raised the alarm as lie within the central 99.9 % of the binomial distribution of
that rate. A client that uses G' = 3 where 1.3 was agreed must be caught on every bench.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
from runs_after import central, judge_runs, runs_after

from labctl import __version__

#: What is drawn, uniformly: table and key of [world], limits, unit as the file has it.
DRAWN = (
    ("modulator", "v_pi_i", 342.0, 349.5, "mV"),
    ("modulator", "v_pi_q", 342.0, 349.5, "mV"),
    ("modulator", "bias_i", -12.0, 12.0, "mV"),
    ("modulator", "bias_q", -12.0, 12.0, "mV"),
    ("modulator", "extinction_ratio", 24.0, 34.0, "dB"),
    ("modulator", "gain_ratio", 0.97, 1.03, ""),
    ("modulator", "angle_error_deg", -1.5, 1.5, ""),
    ("channel", "loss_out", 0.3, 1.2, "dB"),
    ("channel", "loss_back", 0.4, 1.4, "dB"),
    ("unitary", "v_pi_forward_coupler", 344.0, 349.5, "mV"),
    ("unitary", "v_pi_forward_phase", 344.0, 349.5, "mV"),
    ("unitary", "v_pi_return_coupler", 344.0, 349.5, "mV"),
    ("unitary", "v_pi_return_phase", 344.0, 349.5, "mV"),
    ("unitary", "loop_loss", 0.005, 0.03, "dB"),
    ("unitary", "loop_phase_error_deg", -0.15, 0.15, ""),
    ("tap", "v_pi", 344.0, 349.5, "mV"),
    ("tap", "fraction_error", -0.004, 0.004, ""),
    ("amplifier", "n_sp", 1.2, 1.9, ""),
    ("amplifier", "gain_error", -0.02, 0.02, ""),
    ("client_receiver", "electronic_noise", 0.03, 0.08, ""),
    ("client_receiver", "volts_per_snu", 9.5, 10.5, "mV"),
    ("server_receiver", "electronic_noise", 0.03, 0.08, ""),
    ("server_receiver", "volts_per_snu", 19.0, 21.0, "mV"),
    ("laser", "linewidth", 0.6, 1.1, "kHz"),
)
CONFIDENCE = 0.95

# --- the process that hides --------------------------------------------------------------------------------------


def drawn_bench(text: str, generator: np.random.Generator) -> tuple[str, dict[str, float]]:
    """The telecom bench with other true values, and these by "table.key", in the file's units."""
    truth = {}
    for table, key, low, high, unit in DRAWN:
        value = round(float(generator.uniform(low, high)), 5)
        truth[f"{table}.{key}"] = value
        shown = f'"{value} {unit}"' if unit else f"{value}"
        head, section, tail = _around(text, f"\n[world.{table}]\n")
        changed, count = re.subn(rf"^{key} = [^\n]*", f"{key} = {shown}", section, count=1, flags=re.MULTILINE)
        if count != 1:
            raise ValueError(f"[world.{table}] has no {key}")
        text = head + changed + tail
    return text, truth


def _around(text: str, heading: str) -> tuple[str, str, str]:
    start = text.index(heading) + len(heading)
    end = text.find("\n[", start)
    end = len(text) if end < 0 else end
    return text[:start], text[start:end], text[end:]


def hide(seed: int, folder: Path) -> None:
    """Draw, serve, say where, and wait to be asked."""
    from labctl.shipped import bench_path

    generator = np.random.default_rng([seed, 0xB11D])
    text, truth = drawn_bench(bench_path("telecom").read_text(encoding="utf-8"), generator)
    with tempfile.TemporaryDirectory() as hidden:
        secret, told = Path(hidden) / "telecom.bench.toml", folder / "blind.bench.toml"
        secret.write_text(text, encoding="utf-8")
        words = ["sim", "serve", str(secret), "--port-base", "0", "--write", str(told)]
        with subprocess.Popen(
            [sys.executable, "-m", "labctl.cli", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as server:
            while not told.exists() and server.poll() is None:
                time.sleep(0.05)
            print("served" if told.exists() else "failed", flush=True)
            if sys.stdin.readline().strip() == "reveal":
                print(json.dumps(truth), flush=True)
            server.terminate()


@contextmanager
def hidden_bench(seed: int, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The process that knows; the bench file is ``folder``/blind.bench.toml."""
    command = [sys.executable, str(Path(__file__).resolve()), "--hide", str(folder), "--seed", str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "served":
            raise RuntimeError("the hidden bench was not served")
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()


def reveal(process: subprocess.Popen[str]) -> dict[str, float]:
    """What was drawn."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("reveal\n")
    process.stdin.flush()
    found: dict[str, float] = json.loads(process.stdout.readline())
    return found


# --- what the truth means for each quantity ---------------------------------------------------------------------------


def true_values(drawn: Mapping[str, float], found: Mapping[str, float]) -> dict[str, float]:
    """By the names of quantities. ``found``: as measured, where the truth depends on the settings used."""
    truth = {
        "modulator.v_pi_i": drawn["modulator.v_pi_i"] / 1e3,
        "modulator.v_pi_q": drawn["modulator.v_pi_q"] / 1e3,
        "modulator.bias_i": drawn["modulator.bias_i"] / 1e3,
        "modulator.bias_q": drawn["modulator.bias_q"] / 1e3,
        "modulator.leak": 10 ** (-drawn["modulator.extinction_ratio"] / 20),
        "modulator.gain_ratio": drawn["modulator.gain_ratio"],
        "modulator.angle_error": math.radians(drawn["modulator.angle_error_deg"]),
        "attenuator.slope": 1.0,
        "attenuator.hysteresis": 0.0,
        "phase_variance": 2 * math.pi * drawn["laser.linewidth"] * 1e3 * 8e-9 * 481 / 31,
        "tap.v_pi": drawn["tap.v_pi"] / 1e3,
        "tap.fraction_error": drawn["tap.fraction_error"],
        "amplifier.n_sp": drawn["amplifier.n_sp"],
        "link.loss_out": drawn["channel.loss_out"],
        "link.loss_back": drawn["channel.loss_back"],
        "link.transmittance": 10 ** (-(drawn["channel.loss_out"] + drawn["channel.loss_back"]) / 10),
        "unitary.loop_loss": drawn["unitary.loop_loss"],
        "unitary.loop_phase": math.radians(drawn["unitary.loop_phase_error_deg"]),
    }
    for index, gain in enumerate((1.3, 2.0, 3.0, 4.5, 10.0)):
        truth[f"amplifier.gain_{index}"] = gain * (1 + drawn["amplifier.gain_error"])
    for name in ("forward_coupler", "forward_phase", "return_coupler", "return_phase"):
        truth[f"unitary.{name}.v_pi"] = drawn[f"unitary.v_pi_{name}"] / 1e3
    for receiver, full_scale, efficiency in (("client", 8.0, 0.85), ("server", 4.0, 0.88)):
        truth |= _receiver(drawn, receiver, full_scale, efficiency)
    return truth | _mode(drawn, found)


def _receiver(drawn: Mapping[str, float], name: str, full_scale: float, efficiency: float) -> dict[str, float]:
    """Quantisation counts as electronic noise; 5 mW of oscillator, RIN of -150 dB/Hz and 30 dB of CMRR leave theirs."""
    unit = drawn[f"{name}_receiver.volts_per_snu"] / 1e3
    electronic = drawn[f"{name}_receiver.electronic_noise"] + (full_scale / 2**12) ** 2 / 12 / unit**2
    photons = 5e-3 * 1550.12e-9 / (6.62607015e-34 * 299_792_458.0 * 125e6)
    oscillator = 1e-3 * efficiency * photons * 1e-15 * 125e6 / 2
    return {
        f"{name}.volts_per_snu": unit,
        f"{name}.electronic_noise": electronic,
        f"{name}.oscillator_noise": oscillator,
        f"{name}.noise_variance": 1 + electronic + oscillator,
    }


def _mode(drawn: Mapping[str, float], found: Mapping[str, float]) -> dict[str, float]:
    """Of the loop driven with the V_pi that were measured."""
    if "unitary.overlap" not in found:
        return {}
    from labctl.calibration.unitary import probe_mode
    from labctl.optics.unitary import loop_settings
    from sim_backends.physics import LoopDrive, loop_mode, round_trip_mean

    z = probe_mode()
    theta, phi = loop_settings(z)
    stretch = [
        found[f"unitary.{name}.v_pi"] * 1e3 / drawn[f"unitary.v_pi_{name}"]
        for name in ("forward_coupler", "forward_phase")
    ]
    transmittance = 10 ** (-drawn["unitary.loop_loss"] / 10)
    phase = math.radians(drawn["unitary.loop_phase_error_deg"])
    taken = loop_mode(theta * stretch[0], phi * stretch[1], transmittance, phase)
    norm = float(np.sum(np.abs(taken) ** 2))
    back_stretch = [
        found[f"unitary.{name}.v_pi"] * 1e3 / drawn[f"unitary.v_pi_{name}"]
        for name in ("return_coupler", "return_phase")
    ]
    forward = LoopDrive(theta * stretch[0], phi * stretch[1], transmittance, phase)
    back = LoopDrive(theta * back_stretch[0], phi * back_stretch[1], transmittance, phase)
    kept = math.cos(math.pi / 4 * found["tap.v_pi"] * 1e3 / drawn["tap.v_pi"]) ** 2 + drawn["tap.fraction_error"]
    one_each = np.stack([np.eye(len(z)), np.zeros((len(z), len(z)))]).astype(np.float32)
    returned = round_trip_mean(one_each, forward, back, math.sqrt(kept))
    own = float(np.trace(returned[0]))
    return {
        "unitary.overlap": float(np.abs(np.vdot(z, taken))) ** 2 / norm,
        "unitary.collected": norm,
        "unitary.passed": ((own + (1 - math.sqrt(kept)) * norm) / len(z)) ** 2,
    }


# --- one bench ------------------------------------------------------------------------------------------------------


def calibrate_blind(seed: int, runs: bool) -> dict[str, Any]:
    """Calibrate one hidden bench, store, then ask for the truth: each quantity's deviation in standard errors."""
    from labctl.calibrate import calibrate
    from labctl.calibration.force import store_of
    from labctl.config import load_bench

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with hidden_bench(seed, folder) as process:
            path = folder / "blind.bench.toml"
            if runs:
                text = path.read_text(encoding="utf-8")
                path.write_text(f'{text}\n[calibration]\nstore = "results"\n', encoding="utf-8")
            config = load_bench(path)
            store = store_of(config, path, folder / "results")
            start = time.perf_counter()
            found = calibrate(path, config, store, seed=seed)
            seconds = time.perf_counter() - start
            if found.error is not None:
                raise found.error
            verdicts = runs_after(path, store, seed) if runs else {}
            drawn = reveal(process)
            quantities = [each for result in store.latest().values() for each in result.quantities]
    truth = true_values(drawn, {each.name: each.value for each in quantities})
    held, pulls = {}, {}
    for each in quantities:
        if each.name in truth:
            low, high = each.interval(CONFIDENCE)
            held[each.name] = low <= truth[each.name] <= high
            pulls[each.name] = round((each.value - truth[each.name]) / each.standard_error, 3)
    failed = {result.procedure: result.message for result in found.results if not result.passed}
    return {"seed": seed, "seconds": seconds, "held": held, "pulls": pulls, "failed": failed, **verdicts}


# --- all of them ----------------------------------------------------------------------------------------------------


def judge(benches: list[dict[str, Any]]) -> dict[str, Any]:
    """Coverage of all, and of each quantity, and the runs; see the module."""
    count = len(benches)
    names = sorted(benches[0]["held"])
    held = {name: sum(bench["held"][name] for bench in benches) for name in names}
    low, high = central(count, CONFIDENCE)
    outside = {name: each for name, each in held.items() if not low <= each <= high}
    coverage = sum(held.values()) / (count * len(names))
    failed = {str(bench["seed"]): bench["failed"] for bench in benches if bench["failed"]}
    pulls = np.array([[bench["pulls"][name] for name in names] for bench in benches])
    runs = judge_runs([bench for bench in benches if "honest" in bench])
    return {
        "passed": 0.90 <= coverage <= 0.99 and not outside and not failed and runs.get("passed", True),
        "benches": count,
        "quantities": len(names),
        "coverage": round(coverage, 4),
        "held": held,
        "held_allowed": [low, high],
        "outside": outside,
        "pull_mean_and_spread": {
            name: [round(float(each.mean()), 2), round(float(each.std()), 2)]
            for name, each in zip(names, pulls.T, strict=True)
        },
        "failed": failed,
        "runs": runs,
        "seconds": round(sum(bench["seconds"] for bench in benches) / count, 1),
    }


def trimmed(bench: dict[str, Any]) -> dict[str, Any]:
    """Of one bench what is worth keeping: its pulls tell what was held."""
    return {
        key: {name: round(pull, 2) for name, pull in value.items()} if key == "pulls" else value
        for key, value in bench.items()
        if key != "held"
    }


def main() -> int:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benches", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--hide", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hide is not None:
        hide(options.seed, options.hide)
        return 0
    benches = []
    for index in range(options.benches):
        benches.append(calibrate_blind(options.seed + index, options.runs))
        print(json.dumps(benches[-1]), file=sys.stderr, flush=True)
    each = [trimmed(bench) for bench in benches]
    found = judge(benches) | {"labctl": __version__, "machine": platform.platform(), "each": each}
    text = json.dumps(found, indent=1)
    options.out.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    (options.out / f"blind-{stamp}.json").write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
