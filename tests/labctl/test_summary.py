"""The object that --json prints: its keys, its numbers, and that it is JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from labctl.errors import InstrumentLost
from labctl.events import AdversaryResult, AttackResult, Interval, RecoveryResult
from labctl.summary import failure, summary
from tests.labctl import sample_run

LEAKAGE = {
    "weights_bits_per_mode": 0.05,
    "weights_bits_per_weight": 0.025,
    "data_bits_v1": 0.0016,
    "data_bits_journal": 0.187,
}


def test_all_keys_with_their_values() -> None:
    pooled = sample_run.check(0.0144, threshold=0.016)
    found = summary(sample_run.finished(200, pooled=pooled), sample_run.started(), Path("/runs/x.h5"))
    layers = found.pop("layers")
    assert found == {
        "run_file": "/runs/x.h5",
        "images": 200,
        "images_doubtful": 0,
        "accuracy": 0.9,
        "accuracy_interval": [0.85, 0.94],
        "verdict": "accepted",
        "excess_noise": {
            "value": 0.0144,
            "low": 0.0144 - 0.001,
            "high": 0.0144 + 0.001,
            "expected": 0.0144,
            "technical": 0.0,
            "samples": 4736,
            "unit": "SNU",
        },
        "transmittance": {"value": 0.9999, "low": 0.9990, "high": 1.0008},
        "leakage": LEAKAGE,
        "threshold": 0.016,
        "adversary": None,
        "warnings": [],
        "seed": 7,
        "simulated": True,
    }
    assert [layer["excess_noise"]["value"] for layer in layers] == [0.014, 0.02]
    assert [layer["excess_noise"]["samples"] for layer in layers] == [4736, 640]
    assert [layer["threshold"] for layer in layers] == [None, None]
    assert all(layer.keys() == {"excess_noise", "transmittance", "leakage", "threshold"} for layer in layers)


def test_what_was_not_measured_is_null_under_the_same_keys() -> None:
    ended = sample_run.finished(0, verdict="aborted", accuracy=None, pooled=None, layers=())
    found = summary(ended, sample_run.started(), None)
    assert found.keys() == summary(sample_run.finished(), sample_run.started(), None).keys()
    assert (found["verdict"], found["layers"], found["images"]) == ("aborted", [], 0)
    empty = ("run_file", "accuracy", "accuracy_interval", "excess_noise", "transmittance", "leakage", "threshold")
    assert [found[key] for key in empty] == [None] * len(empty)


def test_infinite_bounds_and_numpy_numbers_are_still_json() -> None:
    endless = Interval(np.float64(0.5), float("-inf"), float("nan"))
    check = sample_run.check(excess=0.5, transmittance=endless, samples=np.int64(12))
    found = summary(sample_run.finished(np.int64(3), pooled=check), sample_run.started(), None)
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again["transmittance"] == {"value": 0.5, "low": None, "high": None}
    assert (again["excess_noise"]["samples"], again["images"]) == (12, 3)


def test_failure_names_type_message_and_remedy() -> None:
    error = InstrumentLost("laser", "does not answer", "Check its cable.", command=":POW?")
    assert failure(error, Path("x.h5")) == {
        "error": {
            "type": "InstrumentLost",
            "message": "laser: does not answer (command ':POW?')",
            "remedy": "Check its cable.",
        },
        "run_file": "x.h5",
    }


def test_failure_of_any_other_kind() -> None:
    assert failure(KeyError("x"), None) == {
        "error": {"type": "KeyError", "message": "'x'", "remedy": ""},
        "run_file": None,
    }
    assert failure(RuntimeError(), None)["error"]["message"] == "RuntimeError"


def test_what_the_dishonest_got() -> None:
    attack = AttackResult("tap", 0.1, 5000, 0.48, True, float("inf"), None)
    adversary = AdversaryResult(attack, RecoveryResult(20, 0.34, 0.246, 0.698))
    found = summary(sample_run.finished(adversary=adversary), sample_run.started(), None)["adversary"]
    assert found == {
        "attack": {
            "name": "tap",
            "strength": 0.1,
            "samples": 5000,
            "bits_per_mode": 0.48,
            "measured": True,
            "expected_bits_per_mode": None,
            "alarm_image": None,
        },
        "recovery": {"images": 20, "overlap": 0.34, "expected": 0.246, "bound": 0.698},
    }
    for one in (AdversaryResult(attack, None), AdversaryResult(None, adversary.recovery)):
        found = summary(sample_run.finished(adversary=one), sample_run.started(), None)["adversary"]
        assert (found["attack"] is None, found["recovery"] is None) == (
            one.attack is None,
            one.recovery is None,
        )
