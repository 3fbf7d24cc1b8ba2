"""The modulator that is not ideal, and its inverse."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.config import load_bench
from labctl.errors import ConfigError
from labctl.optics.iq import IqModulator
from labctl.optics.modulator import plan_launch
from labctl.shipped import bench_path
from sim_backends.physics import IqImbalance, iq_transfer

FAULTY = IqModulator(0.348, 0.345, 0.012, -0.009, 0.05, 0.97, 0.03)
SWING = 0.35


def test_the_field_is_that_of_the_simulated_bench() -> None:
    rng = np.random.default_rng(1)
    volts = rng.uniform(-SWING, SWING, (2, 100))
    imbalance = IqImbalance(0.012, -0.009, 0.03, 0.97, 0.05)
    expected = iq_transfer(volts[0], volts[1], 0.348, 0.345, imbalance)
    np.testing.assert_allclose(FAULTY.field(*volts), expected, rtol=1e-12)


def test_the_inverse_within_reach() -> None:
    reach = FAULTY.reach(SWING, SWING)
    assert 0.8 < reach < 0.95
    rng = np.random.default_rng(2)
    corners = np.array([x + 1j * y for x in (-1, 0, 1) for y in (-1, 0, 1)])
    inside = rng.uniform(-1, 1, 500) + 1j * rng.uniform(-1, 1, 500)
    wanted = reach / np.sqrt(2) * np.concatenate([corners, inside])
    volts = FAULTY.volts(wanted)
    np.testing.assert_allclose(FAULTY.field(*volts), wanted, atol=1e-8)
    assert max(np.abs(each).max() for each in volts) <= SWING


def test_beyond_reach_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot make the field"):
        FAULTY.volts(np.array([0.9 + 0.9j]))


def test_an_ideal_one_is_inverted_by_arcsin() -> None:
    ideal = IqModulator(0.35, 0.35, 0.0, 0.0, 0.0, 1.0, 0.0)
    volts = ideal.volts(np.array([0.3 - 0.5j]))
    expected = [np.arcsin(0.3 * np.sqrt(2)), np.arcsin(-0.5 * np.sqrt(2))]
    np.testing.assert_allclose(np.ravel(volts), np.array(expected) * 0.7 / np.pi, rtol=1e-9)
    assert ideal.reach(SWING, SWING) == pytest.approx(0.98)


def test_no_imbalance_no_model_and_less_light_with_one() -> None:
    bench = load_bench(bench_path("telecom"))
    assert IqModulator.of(bench.modulator) is None
    role = bench.modulator.model_validate(
        bench.modulator.model_dump() | WITH_UNITS | {"imbalance": {"gain_ratio": 0.9}}
    )
    faulty = bench.model_copy(update={"modulator": role})
    lost = plan_launch(bench, 5.0).attenuation_db - plan_launch(faulty, 5.0).attenuation_db
    assert lost == pytest.approx(-20 * np.log10(0.9 * 0.98), abs=0.011)


WITH_UNITS = {
    "loss": "9 dB",
    "in_phase": {"instrument": "server_awg", "channel": 1, "v_pi": "350 mV", "amplitude": "700 mV"},
    "quadrature": {"instrument": "server_awg", "channel": 2, "v_pi": "350 mV", "amplitude": "700 mV"},
}
