"""The long runs that the tests only take in short form. Prints one JSON object a part, and keeps them with their date.

    python benchmarks/soak.py [headline|alarm|false-alarms ...] [--data DIR] [--out FOLDER] [--processes 2]

headline      all 10,000 MNIST test images at G = 2, mu = 2 on the ideal bench: accuracy, noise, leakage, verdict
alarm         MNIST, G = 1.3 agreed and G' = 3 used: images until the alarm, 20 seeds (each must be within 200)
false-alarms  MNIST, honest at G = 1.3: 200 seeded runs of 100 images at a false-alarm rate of 5 %; the count must lie
              within the central 99.9 % of its binomial distribution
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from labctl import __version__
from labctl.config import RunConfig
from labctl.engine import RunControl
from labctl.events import EventBus
from labctl.experiment import load_experiment, prepare_experiment
from labctl.run_tables import AdversaryConfig
from labctl.session import Outcome, run_experiment
from labctl.summary import summary

ALARM_SEEDS = 20
ALARM_LIMIT = 200
HONEST_RUNS, HONEST_IMAGES, HONEST_RATE = 200, 100, 0.05


def execute(config: RunConfig) -> Outcome:
    """One run without a file; errors are raised."""
    outcome = run_experiment(prepare_experiment(config), EventBus(), RunControl(), None)
    if outcome.error is not None:
        raise outcome.error
    return outcome


def mnist(data: str | None, **changes: Any) -> RunConfig:
    """The shipped MNIST run with changes."""
    shipped = load_experiment("mnist", data=Path(data) if data else None, images=1).run
    return shipped.model_copy(update={"images": None, **changes})


def headline(data: str | None, processes: int) -> dict[str, Any]:
    """The paper's headline, through the drivers."""
    experiment = prepare_experiment(mnist(data))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_experiment(experiment, EventBus(), RunControl(), Path(folder))
        size = outcome.run_file.stat().st_size if outcome.run_file else 0
    if outcome.error is not None or outcome.started is None:
        raise outcome.error or RuntimeError("the run did not start")
    found = summary(outcome.finished, outcome.started, None)
    leakage = found["leakage"]
    passed = (
        found["accuracy"] >= 0.96 and leakage["weights_bits_per_mode"] < 0.1 and leakage["data_bits_v1"] < 0.01
    ) and found["verdict"] == "accepted"
    seconds = time.perf_counter() - start
    return {"passed": passed, "seconds": round(seconds, 1), "file_bytes": size, "summary": found}


def images_to_alarm(data: str | None, seed: int) -> int | None:
    """Of a client that uses G' = 3 where 1.3 was agreed; None when it got away with it."""
    config = mnist(data, gain=1.3, images=1000, seed=seed, adversary=AdversaryConfig(client_gain=3.0))
    outcome = execute(config)
    return outcome.finished.images + 1 if outcome.verdict == "alarm" else None


def alarm(data: str | None, processes: int) -> dict[str, Any]:
    """How soon the greedy client is caught."""
    with ProcessPoolExecutor(processes) as pool:
        images = list(pool.map(partial(images_to_alarm, data), range(ALARM_SEEDS)))
    caught = [each for each in images if each is not None]
    passed = len(caught) == ALARM_SEEDS and max(caught) <= ALARM_LIMIT
    return {"passed": passed, "images_to_alarm": sorted(caught), "not_caught": ALARM_SEEDS - len(caught)}


def honest_verdict(data: str | None, seed: int) -> str | None:
    """Of one short honest run."""
    config = mnist(data, gain=1.3, images=HONEST_IMAGES, seed=seed, false_alarm_rate=HONEST_RATE)
    return execute(config).verdict


def false_alarms(data: str | None, processes: int) -> dict[str, Any]:
    """How often an honest client is accused."""
    from scipy.stats import binom

    with ProcessPoolExecutor(processes) as pool:
        verdicts = list(pool.map(partial(honest_verdict, data), range(1000, 1000 + HONEST_RUNS)))
    count = verdicts.count("alarm")
    low, high = binom.interval(0.999, HONEST_RUNS, HONEST_RATE)
    return {
        "passed": bool(low <= count <= high),
        "runs": HONEST_RUNS,
        "configured_rate": HONEST_RATE,
        "alarms": count,
        "allowed": [int(low), int(high)],
    }


PARTS = {"headline": headline, "alarm": alarm, "false-alarms": false_alarms}


def main() -> int:
    """Run the parts asked for; exit status 1 when one did not pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--data")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    passed = True
    for name in arguments.parts or PARTS:
        stamp = datetime.now(UTC)
        found = PARTS[name](arguments.data, arguments.processes)
        result = {"soak": name, "date": stamp.isoformat(timespec="seconds"), "labctl": __version__, **found}
        text = json.dumps(result, indent=2)
        sys.stdout.write(text + "\n")
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / f"soak-{name}-{stamp:%Y%m%dT%H%M%SZ}.json").write_text(text + "\n")
        passed = passed and bool(found["passed"])
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
