"""What every polarisation controller must do."""

from __future__ import annotations

import math

import pytest

from labctl.errors import LimitError
from labctl.interfaces import PolarisationController
from tests.contract.bench import ContractBench

#: What a measured Stokes parameter may be off.
STOKES_STEP = 0.02
HALF = math.sqrt(0.5)
STATES = [(1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (0.0, HALF, HALF)]


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_set_and_measured(bench: ContractBench, state: tuple[float, float, float]) -> None:
    controller = bench.get(PolarisationController)
    controller.set_stokes(*state)
    measured = controller.stokes()
    assert measured == pytest.approx(state, abs=STOKES_STEP)
    assert math.hypot(*measured) == pytest.approx(1.0, abs=STOKES_STEP)
    assert 0.0 < controller.degree_of_polarisation() <= 1.0
    assert list(controller.problems()) == []


def test_what_is_no_pure_state_is_refused_and_nothing_is_sent(bench: ContractBench) -> None:
    controller = bench.get(PolarisationController)
    controller.set_stokes(0.0, 1.0, 0.0)
    with bench.nothing_sent():
        for wrong in ((0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (1.0, 1.0, 0.0), (math.nan, 0.0, 0.0), (math.inf, 0.0, 0.0)):
            with pytest.raises(LimitError, match=controller.name):
                controller.set_stokes(*wrong)
    assert controller.stokes() == pytest.approx((0.0, 1.0, 0.0), abs=STOKES_STEP)


def test_wavelength_is_read_back(bench: ContractBench) -> None:
    controller = bench.get(PolarisationController)
    controller.set_wavelength(1550.12e-9)
    assert controller.snapshot()["wavelength_m"] == pytest.approx(1550.12e-9, abs=1e-11)


def test_limits_are_refused_and_nothing_is_sent(bench: ContractBench) -> None:
    controller = bench.get(PolarisationController)
    before, limits = controller.snapshot()["wavelength_m"], controller.wavelength_range_m
    with bench.nothing_sent():
        for wrong in (0.9 * limits.low, 1.1 * limits.high, math.nan, 1550.0):
            with pytest.raises(LimitError, match=controller.name):
                controller.set_wavelength(wrong)
    assert controller.snapshot()["wavelength_m"] == before


def test_the_safe_state_leaves_the_state_as_it_is(bench: ContractBench) -> None:
    controller = bench.get(PolarisationController)
    controller.set_stokes(0.0, 1.0, 0.0)
    assert controller.safe_state().dark
    assert controller.stokes() == pytest.approx((0.0, 1.0, 0.0), abs=STOKES_STEP)
