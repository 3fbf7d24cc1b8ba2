"""Which attack a run has, by configuration, by formula, and on the lab's control instrument."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.adversary import Referee, agreed_terms, expected_bits_per_mode, mounted_attack
from labctl.assembly import Assembly
from labctl.bench import open_bench
from labctl.config import RunConfig
from labctl.events import AttackResult
from labctl.experiment import Experiment, prepare_experiment
from labctl.protocol.attacks import FibreTap, GreedyGain, heterodyne_bits
from labctl.run_tables import AdversaryConfig


def experiment(gain: float = 1.3, **adversary: Any) -> Experiment:
    run = {"name": "a", "dataset": "digits", "model": "digits", "gain": gain, "mean_photons": 4.0, "images": 2}
    return prepare_experiment(RunConfig.model_validate(run | {"adversary": adversary}))


@pytest.mark.parametrize(
    ("keys", "kind", "gain"),
    [
        ({}, None, 1.3),
        ({"client_gain": 3.0}, "greedy", 3.0),
        ({"attack": "greedy", "strength": 3.0}, "greedy", 3.0),
        ({"attack": "all-modes", "strength": 1.1}, "all-modes", 1.1),
        ({"attack": "resend", "strength": 1.0}, "resend", 1.3),
        ({"attack": "substitution"}, "substitution", 1.3),
    ],
)
def test_gain_in_use(keys: dict[str, Any], kind: str | None, gain: float) -> None:
    found = AdversaryConfig.model_validate(keys)
    assert (found.kind, found.gain_in_use(1.3)) == (kind, gain)
    assert found.on_the_light == (kind not in (None, "greedy"))


def test_attack_by_formula() -> None:
    tapped = experiment(attack="tap", strength=0.1)
    assert mounted_attack(tapped) == FibreTap(0.1)
    assert expected_bits_per_mode(tapped, FibreTap(0.1)) == pytest.approx(heterodyne_bits(0.4))
    assert mounted_attack(experiment(client_gain=3.0)) == GreedyGain(3.0)
    assert mounted_attack(experiment(attack="substitution")).strength == 1.0
    assert agreed_terms(tapped).gain == 1.3


class Control:
    """Notes what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *values: self.told.append((name, *values))

    def attacker_learned(self) -> tuple[int, float]:
        return 5, 0.25


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, []),
        ({"attack": "greedy", "strength": 2.0}, []),
        ({"attack": "all-modes", "strength": 1.5}, [("mount_attack", "all-modes", 1.5)]),
        ({"attack": "substitution"}, [("mount_attack", "substitution", 0.0)]),
    ],
)
def test_mounted_after_the_reset(
    keys: dict[str, Any], told: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    control, checked = Control(), experiment(**keys)
    with open_bench(checked.bench_path, checked.bench) as bench:
        monkeypatch.setattr(bench, "control", lambda: control)
        Assembly.build(checked, bench).prepare()
    assert control.told == [("set_stepped_clock", True), ("reset", 0), *told]


def test_an_attacker_who_was_not_asked_has_no_result() -> None:
    control: Any = Control()
    referee = Referee(experiment(attack="tap", strength=0.1), control)
    assert referee.result(None) is None
    referee.ask_attacker()
    found = referee.result(3)
    assert found is not None
    assert found.recovery is None
    expected = pytest.approx(heterodyne_bits(0.4))
    assert found.attack == AttackResult("tap", 0.1, 5, 0.25, True, expected, 3)
