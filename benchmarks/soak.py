"""The long runs that the tests only take in short form. Prints one JSON object a part, and keeps them with their date.

    python benchmarks/soak.py [headline|alarm|false-alarms|attacks|lenet|parsers|served|mutants|faults|
                               sigint|watchdog|unplug|kills|syscalls|disk-full|blind|
                               mnist-calibrated|gui-kills ...]
                              [--data DIR] [--out FOLDER] [--processes 2]

headline      all 10,000 MNIST test images at G = 2, mu = 2 on the ideal bench: accuracy, noise, leakage, verdict
alarm         MNIST, G = 1.3 agreed and G' = 3 used: images until the alarm, 20 seeds (each must be within 200)
false-alarms  MNIST, honest at G = 1.3: 200 seeded runs of 100 images at a false-alarm rate of 5 %; the count must lie
              within the central 99.9 % of its binomial distribution
attacks       digits, G = 1.3 agreed, 200 images, on the benches ideal and telecom: every attack at the least strength
              that is caught (alarm with probability 0.999) and at a larger one, 40 seeds each. As many must have
              alarmed within the predicted half and 99.9 % of images as lie within the central 99.9 % of the binomial
              distribution. Of those that leave a lower T alone: I_w, what is charged of a budget (that which an
              honest run comes to at most; nothing may exceed it), and after how many images it ends the run
lenet         a convolutional network (6 and 16 filters of 5 x 5, 84 hidden, 10), trained first with the optics' noise
              at G = 2, mu = 0.5, over 30 MNIST images at mu = 0.2, where the noise costs some: each patch a shot of its
              own, 642 an image. Every product of every patch is held against the digital one of a second implementation
              (benchmarks/products.py): in each layer Σ z² must be within what chi-square does but once in 10^5. As many
              must be right as the exact shortcut of labctl.sampler says for the same images, within 4.5 standard
              deviations; the pooled excess noise must be as near to its honest value
parsers       a million random and mutated replies and commands (benchmarks/fuzz.py)
mutants       10,000 damaged run files, networks, data sets, configurations and ledgers (benchmarks/hostile.py)
served        all 10,000 MNIST test images with the simulated lab served over TCP by another process: every number of
              every image must be that of the run in process
faults        every simulated fault in every role that it fits, from the beginning and after ten images: what happens
              must be what docs/reference/faults.md says, and no run may give other numbers without a word
sigint, watchdog, unplug
              whatever ends a run, the light goes off (benchmarks/safety.py)
kills, syscalls, disk-full
              400 runs whose programs are killed, one run killed before every call of the system that changes a file,
              and 30 runs on a disk that fills up (benchmarks/crash.py): nothing that was committed is lost
gui-kills     50 windows killed at random moments of a run (benchmarks/gui_kills.py): the file is complete, and what an
              undisturbed run gives
blind         50 benches with hidden true values (benchmarks/blind.py), calibrated: of all 95 % intervals 90 to 99 %
              must hold the truth, and each quantity's as often as lies within the central 99.9 % of the binomial
              distribution; of the honest runs after it as many must raise the alarm as the rates say, and a greedy
              one must be caught on each
mnist-calibrated
              MNIST on such a bench, calibrated, and on the ideal one (benchmarks/accuracy_calibrated.py): all of the
              95 % interval of the accuracies' difference must be within 1 %
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
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

import numpy as np
import safety
from accuracy_calibrated import on_mnist
from blind import calibrate_blind, judge, trimmed
from products import chi_square, listening, residuals
from serve import served as served_lab

from labctl import __version__
from labctl.adversary import agreed_terms
from labctl.config import RunConfig
from labctl.datasets import load_dataset
from labctl.engine import RunControl
from labctl.events import EventBus
from labctl.experiment import Experiment, load_experiment, prepare_experiment
from labctl.ledger.weights import weights_balances, weights_book, weights_charges
from labctl.models import save_network
from labctl.models.training import ConvolutionRecipe, Origin, Recipe, WorkingPoint, train_network
from labctl.protocol.attacks import named_attack
from labctl.protocol.power import CAUGHT, assess, least_strength
from labctl.protocol.rowmodel import AmplifierTap, snr_squared
from labctl.record import open_run
from labctl.run_tables import AdversaryConfig
from labctl.sampler import open_sampler
from labctl.session import Outcome, run_experiment
from labctl.summary import summary

ALARM_SEEDS = 20
ALARM_LIMIT = 200
HONEST_RUNS, HONEST_IMAGES, HONEST_RATE = 200, 100, 0.05
ATTACKED_IMAGES, ATTACKED_SEEDS = 200, 40
STRONGER = {"greedy": 10.0, "all-modes": 1.3, "resend": 0.1, "injection": 0.1}
BLIND_BENCHES = 50
LENET_IMAGES, LENET_DRAWS = 30, 100
LENET_GAIN, LENET_PHOTONS, LENET_TRAINED_PHOTONS = 2.0, 0.2, 0.5
LENET_TRAINING = 30_000
LENET = Recipe(
    "mnist",
    hidden=84,
    epochs=10,
    batch=50,
    learning_rate=0.01,
    momentum=0.9,
    weight_decay=0.0,
    shift_pixels=0,
    input_noise=0.0,
    stored="float32",
    working_point=WorkingPoint(LENET_GAIN, LENET_TRAINED_PHOTONS),
    convolutions=(ConvolutionRecipe(6, 5, 2), ConvolutionRecipe(16, 5, 2)),
)


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


def digits(bench: str, **changes: Any) -> RunConfig:
    """The shipped run on the telecom bench with changes."""
    shipped = load_experiment("digits-telecom", images=ATTACKED_IMAGES).run
    return RunConfig.model_validate(shipped.model_dump() | {"bench": bench, **changes})


def attacked(bench: str, name: str, strength: float, seed: int) -> int | None:
    """Images begun until the alarm; None without one."""
    outcome = execute(digits(bench, seed=seed, adversary={"attack": name, "strength": strength}))
    return outcome.finished.images + 1 if outcome.verdict == "alarm" else None


def noticed(bench: str, name: str, strength: float, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Predicted and simulated images to the alarm."""
    from scipy.stats import binom

    experiment = prepare_experiment(digits(bench))
    plan, agreed = experiment.agreement().plan(), agreed_terms(experiment)
    predicted = assess(plan, agreed, named_attack(name, strength)).detection
    first = 10_000 * list(STRONGER).index(name) + round(1000 * strength) % 9000
    images = list(pool.map(partial(attacked, bench, name, strength), range(first, first + ATTACKED_SEEDS)))
    caught = sorted(each for each in images if each is not None)
    found: dict[str, Any] = {"bench": bench, "attack": name, "strength": strength, "passed": True}
    for share in (0.5, CAUGHT):
        within = int(predicted.images_to_alarm(share))
        low, high = binom.interval(0.999, ATTACKED_SEEDS, predicted.probability(within))
        alarms = sum(each <= within for each in caught)
        found["passed"] = found["passed"] and bool(low <= alarms <= high)
        found[f"{share:g}"] = {"predicted_images": within, "alarms_within": alarms, "allowed": [int(low), int(high)]}
    return found | {"runs": ATTACKED_SEEDS, "images_to_alarm": caught}


def priced(bench: str, name: str | None, strength: float | None) -> dict[str, Any]:
    """What an attack that no alarm tells of makes of I_w, and where an honest run's budget ends it."""
    adversary = {} if name is None else {"attack": name, "strength": strength}
    run = execute(digits(bench, adversary=adversary))
    pooled = run.finished.pooled
    assert pooled is not None
    honest = prepare_experiment(digits(bench)).forecast().weights_bits_per_weight
    with tempfile.TemporaryDirectory() as folder:
        ledger = {"weights": {"file": f"{folder}/server.ledger", "bits_per_weight_budget": honest * (1 + 1e-9)}}
        held = run_experiment(
            prepare_experiment(digits(bench, adversary=adversary, ledger=ledger)), EventBus(), RunControl(), None
        )
        file = Path(ledger["weights"]["file"])
        (balance,) = weights_balances(weights_charges(weights_book(file).read(), file))
    return {
        "bench": bench,
        "attack": name or "honest",
        "strength": strength,
        "verdict": run.verdict,
        "transmittance": pooled.transmittance.value,
        "weights_bits_per_mode": pooled.leakage.weights_bits_per_mode,
        "budget_bits_per_weight": honest,
        "charged_bits_per_weight": max(balance.bits_per_weight),
        "with_budget": type(held.error).__name__ if held.error else held.verdict,
        "images_within_budget": held.finished.images,
    }


def attacks(data: str | None, processes: int) -> dict[str, Any]:
    """Every attack of [adversary] on the benches that the digits run on."""
    rows = []
    with ProcessPoolExecutor(processes) as pool:
        for bench in ("ideal", "telecom"):
            experiment = prepare_experiment(digits(bench))
            plan, agreed = experiment.agreement().plan(), agreed_terms(experiment)
            for name, more in STRONGER.items():
                least = least_strength(plan, agreed, name)
                least = math.ceil(least * 1000) / 1000 if least > 1 else math.ceil(least * 1e4) / 1e4
                rows += [noticed(bench, name, strength, pool) for strength in (least, more)]
    unseen = [
        priced(bench, *attack)
        for bench in ("ideal", "telecom")
        for attack in ((None, None), ("substitution", None), ("tap", 0.01), ("tap", 0.1), ("tap", 0.2))
    ]
    passed = all(row["passed"] for row in rows) and all(
        row["verdict"] == "accepted"
        and row["charged_bits_per_weight"] <= row["budget_bits_per_weight"] * (1 + 1e-6)
        and (row["with_budget"] == "BudgetSpent" or row["strength"] != 0.2)
        and (row["with_budget"] == "accepted" or row["attack"] == "tap")
        for row in unseen
    )
    return {"passed": passed, "images": ATTACKED_IMAGES, "noticed": rows, "priced": unseen}


def right_of(experiment: Experiment, mean_photons: float) -> tuple[float, float]:
    """Images that should be right by the statistics alone, and the standard deviation of the count."""
    sampler, labels = open_sampler(experiment, "statistics"), experiment.dataset.labels
    draws = [sampler.sample(LENET_GAIN, mean_photons, seed).predictions == labels for seed in range(LENET_DRAWS)]
    chance = np.mean(draws, axis=0)
    return float(chance.sum()), float(np.sqrt(np.sum(chance * (1 - chance)) * (1 + 1 / LENET_DRAWS)))


def lenet(data: str | None, processes: int) -> dict[str, Any]:
    """A convolutional network at full size, through the drivers."""
    folder = data or os.environ.get("LABCTL_MNIST")
    training, test = (load_dataset("mnist", split, Path(folder) if folder else None) for split in ("train", "test"))
    start = time.perf_counter()
    network = train_network(Origin("lenet", "benchmarks/soak.py", 1), LENET, training.first(LENET_TRAINING), test)
    trained = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "lenet.safetensors"
        save_network(network, path)
        config = mnist(data, model=str(path), gain=LENET_GAIN, mean_photons=LENET_PHOTONS, images=LENET_IMAGES)
        experiment = prepare_experiment(config)
        start = time.perf_counter()
        with listening() as heard:
            outcome = run_experiment(experiment, EventBus(), RunControl(), None)
        seconds = time.perf_counter() - start
    if outcome.error is not None or outcome.started is None:
        raise outcome.error or RuntimeError("the run did not start")
    snr = snr_squared(AmplifierTap(LENET_GAIN), LENET_PHOTONS)
    layers = [chi_square(each) for each in residuals(network, experiment.dataset.images, heard, snr)]
    predicted, spread = right_of(experiment, LENET_PHOTONS)
    found = summary(outcome.finished, outcome.started, None)
    right, noise = round(found["accuracy"] * LENET_IMAGES), found["excess_noise"]
    passed = (
        found["verdict"] == "accepted"
        and abs(right - predicted) <= 4.5 * max(spread, 1 / LENET_DRAWS)
        and abs(noise["value"] - noise["expected"]) <= 4.5 / 1.96 * (noise["high"] - noise["low"]) / 2
        and all(layer["probability"] > 1e-5 for layer in layers)
    )
    return {
        "passed": passed,
        "products_by_layer": layers,
        "training_seconds": round(trained, 1),
        "seconds_per_image": round(seconds / LENET_IMAGES, 2),
        "shots_per_image": sum(layer.transmissions for layer in network.layers),
        "weights": [list(shape) for shape in network.layer_shapes],
        "clean_accuracy_test_set": network.clean_accuracy,
        "right": right,
        "right_predicted": round(predicted, 3),
        "right_predicted_deviation": round(spread, 3),
        "right_predicted_with_half_and_twice_the_light": [
            round(right_of(experiment, factor * LENET_PHOTONS)[0], 3) for factor in (0.5, 2)
        ],
        "summary": found,
    }


def parsers(data: str | None, processes: int) -> dict[str, Any]:
    """A million cases of benchmarks/fuzz.py, in a process of its own for the sake of its memory."""
    return of_script("fuzz.py")


def mutants(data: str | None, processes: int) -> dict[str, Any]:
    """10,000 cases of benchmarks/hostile.py, in a process of its own, which must not break down."""
    return of_script("hostile.py")


def of_script(name: str) -> dict[str, Any]:
    """The object that a script beside this one prints; a script that broke down did not pass."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / name)], capture_output=True, text=True, check=False
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"passed": False, "exit_status": done.returncode, "error": done.stderr[-2000:]}
    return found


def faults(data: str | None, processes: int) -> dict[str, Any]:
    """Every fault in every role that it fits: the outcomes are those of docs/reference/faults.md."""
    script = Path(__file__).parents[1] / "scripts" / "fault_table.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def crash(part: str, data: str | None, processes: int) -> dict[str, Any]:
    """A part of benchmarks/crash.py, in a process of its own."""
    script = Path(__file__).parent / "crash.py"
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, str(script), part, "--out", folder]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def served(data: str | None, processes: int) -> dict[str, Any]:
    """All of MNIST with the simulated lab in another process, over TCP, and again in this one: every number alike."""
    found: dict[str, Any] = {}
    arrays: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served_lab(folder) as bench:
            for place, where in (("over_tcp", str(bench)), ("in_process", "ideal")):
                start = time.perf_counter()
                experiment = prepare_experiment(mnist(data, bench=where))
                outcome = run_experiment(experiment, EventBus(), RunControl(), folder / place)
                if outcome.error is not None or outcome.run_file is None:
                    raise outcome.error or RuntimeError("there is no run file")
                arrays.append(dict(open_run(outcome.run_file).images))
                images = outcome.finished.images
                found[place] = {
                    "images": images,
                    "accuracy": outcome.accuracy,
                    "verdict": outcome.verdict,
                    "images_per_s": images / (time.perf_counter() - start),
                }
    compared = [key for key in arrays[0] if "time" not in key]
    found["compared"] = compared
    found["passed"] = all(np.array_equal(arrays[0][key], arrays[1][key], equal_nan=True) for key in compared)
    return found


def blind_benches(data: str | None, processes: int) -> dict[str, Any]:
    """Calibrated blind, then run."""
    with ProcessPoolExecutor(processes) as pool:
        benches = list(pool.map(partial(calibrate_blind, runs=True), range(1, BLIND_BENCHES + 1)))
    return judge(benches) | {"each": [trimmed(bench) for bench in benches]}


def mnist_calibrated(data: str | None, processes: int) -> dict[str, Any]:
    """All of MNIST on a telecom bench just calibrated, and on the ideal one."""
    return on_mnist(data, 10_000, seed=1)


PARTS = {
    "headline": headline,
    "alarm": alarm,
    "false-alarms": false_alarms,
    "attacks": attacks,
    "lenet": lenet,
    "parsers": parsers,
    "served": served,
    "mutants": mutants,
    "faults": faults,
    **safety.PARTS,
    "kills": partial(crash, "kills"),
    "syscalls": partial(crash, "syscalls"),
    "disk-full": partial(crash, "disk-full"),
    "blind": blind_benches,
    "mnist-calibrated": mnist_calibrated,
    "gui-kills": lambda data, processes: of_script("gui_kills.py"),
}


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
