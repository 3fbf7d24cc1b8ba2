"""Traces and ranges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.values import Identity, Quadrature, Range, SafeState, Trace


def trace(codes: list[int], **changes: float) -> Trace:
    form = {
        "y_increment_v": 0.5,
        "y_origin_v": 0.25,
        "y_reference": 2,
        "x_increment_s": 1.0,
        "x_origin_s": 0.0,
        "low_clip": -100,
        "high_clip": 100,
    }
    return Trace(np.array(codes, dtype=np.int16), **{**form, **changes})


def test_volts() -> None:
    np.testing.assert_array_equal(trace([2, 4, -2]).volts(), [0.25, 1.25, -1.75])


def test_volts_do_not_overflow_the_codes() -> None:
    assert trace([-32768, 32767], y_reference=2000).volts()[0] == (-32768 - 2000) * 0.5 + 0.25


@pytest.mark.parametrize(
    ("codes", "count"),
    [([], 0), ([99, -99], 0), ([100, 0], 1), ([-100, 0], 1), ([-100, 100, 32767, -32768, 0], 4)],
)
def test_clipped(codes: list[int], count: int) -> None:
    assert trace(codes).clipped() == count


def test_range() -> None:
    limits = Range(0.1, 0.7, "V")
    assert 0.1 in limits
    assert 0.7 in limits
    assert 0.71 not in limits
    assert math.nan not in limits  # noqa: PLW0177  (a limit check must refuse it)
    assert str(limits) == "0.1 to 0.7 V"


def test_names() -> None:
    assert str(Identity("SANTEC", "TSL-570", "", "1.0")) == "SANTEC TSL-570"
    assert SafeState("laser", dark=True).readings == {}


def test_a_quadrature_is_the_first_samples_of_each_row_in_shot_noise_units() -> None:
    record = trace([1, 2, 9, 3, -4, 9], y_increment_v=0.02, y_origin_v=0.0, y_reference=0)
    quadrature = Quadrature.of(record, bins=3, modes=2, volts_per_snu=0.01)
    assert quadrature.samples.dtype == np.int16
    assert quadrature.unit_snu == 2.0
    np.testing.assert_array_equal(quadrature.values(), [[2, 4], [6, -8]])
    assert quadrature.values().dtype == np.float32


@pytest.mark.parametrize("form", [{"y_origin_v": 0.1, "y_reference": 0}, {"y_origin_v": 0.0, "y_reference": 5}])
def test_offsets_are_in_the_samples(form: dict[str, float]) -> None:
    record = trace([1, 2, 3, -4], y_increment_v=0.02, **form)
    quadrature = Quadrature.of(record, bins=2, modes=2, volts_per_snu=0.01)
    np.testing.assert_allclose(quadrature.values().ravel(), record.volts() / 0.01, rtol=1e-6)
    np.testing.assert_allclose(quadrature.samples * quadrature.unit_snu, quadrature.values(), rtol=1e-6)


def test_codes_at_the_ends_of_their_range() -> None:
    record = trace([-32768, 32767], y_increment_v=0.01, y_origin_v=0.0, y_reference=0)
    quadrature = Quadrature.of(record, bins=1, modes=1, volts_per_snu=0.01)
    np.testing.assert_array_equal(quadrature.values().ravel(), [-32768, 32767])
