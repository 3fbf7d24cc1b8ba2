"""What every bias controller must do."""

from __future__ import annotations

import math

import pytest

from labctl.errors import LimitError
from labctl.interfaces import BiasController
from tests.contract.bench import ContractBench

POINTS = ("null", "peak", "quadrature+", "quadrature-")
STEP_V = 0.02


def test_every_point_is_found_and_held(bench: ContractBench) -> None:
    controller = bench.get(BiasController)
    assert controller.points
    assert set(controller.points) <= set(POINTS)
    for point in controller.points:
        controller.lock(point)
        assert controller.locked()
        assert all(voltage in controller.bias_range_v for voltage in controller.bias_voltages())
    assert list(controller.problems()) == []


def test_different_points_have_different_voltages(simulated: ContractBench) -> None:
    controller = simulated.get(BiasController)
    found = []
    for point in controller.points:
        controller.lock(point)
        found.append(tuple(round(voltage, 1) for voltage in controller.bias_voltages()))
    assert len(set(found)) == len(found)


def test_voltages_held_by_hand_are_read_back(bench: ContractBench) -> None:
    controller = bench.get(BiasController)
    electrodes, limits = len(controller.bias_voltages()), controller.bias_range_v
    for fraction in (0.4, 0.55):
        wanted = [limits.low + fraction * (limits.high - limits.low) + 0.1 * n for n in range(electrodes)]
        controller.hold(wanted)
        assert controller.bias_voltages() == pytest.approx(wanted, abs=STEP_V)
        assert not controller.locked()


def test_limits_are_refused_and_nothing_is_sent(bench: ContractBench) -> None:
    controller = bench.get(BiasController)
    good = list(controller.bias_voltages())
    limits = controller.bias_range_v
    with bench.nothing_sent():
        for point in ("", "top", "NULL"):
            with pytest.raises(LimitError, match=controller.name):
                controller.lock(point)
        for wrong in (limits.low - 0.1, limits.high + 0.1, math.nan):
            with pytest.raises(LimitError, match=controller.name):
                controller.hold([wrong, *good[1:]])
        for count in (len(good) - 1, len(good) + 1):
            with pytest.raises(LimitError, match=controller.name):
                controller.hold([0.0] * count)
    assert list(controller.problems()) == []


def test_off_and_safe_state(bench: ContractBench) -> None:
    controller = bench.get(BiasController)
    for switch_off in (controller.off, controller.safe_state):
        controller.lock(controller.points[0])
        assert controller.locked()
        switch_off()
        assert not controller.locked()
    assert controller.safe_state().dark
