"""Codes and row layouts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.config import DriveRef
from labctl.errors import ConfigError
from labctl.optics.drive import Drive, RowLayout, Timing
from tests.fakes import BITS_12, BITS_14

FULL = 8191
EXACT = Drive(1, FULL, 0.7, 0.35)
AMPLE = Drive(1, FULL, 0.7, 0.3)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50), st.sampled_from([EXACT, AMPLE, Drive(1, 2047, 1.0, 0.5)]))
def test_codes_are_within_half_a_step(fractions: list[float], drive: Drive) -> None:
    wanted = np.array(fractions)
    codes = drive.codes(wanted)
    assert codes.dtype == np.int16
    step = drive.fraction_of_v_pi / drive.code_max
    assert np.abs(drive.fractions(codes) - wanted).max() <= step / 2 + 1e-15
    np.testing.assert_array_equal(drive.codes(drive.fractions(codes)), codes)
    np.testing.assert_array_equal(drive.codes(-wanted), -codes)


def test_full_scale_is_half_the_amplitude() -> None:
    assert EXACT.fraction_of_v_pi == 1.0
    np.testing.assert_array_equal(EXACT.codes(np.array([-1.0, 0.0, 1.0])), [-FULL, 0, FULL])
    assert AMPLE.fraction_of_v_pi == pytest.approx(0.35 / 0.3)
    assert AMPLE.codes(np.array([1.0]))[0] == round(FULL * 0.3 / 0.35)


@given(st.floats(1 + 1e-4, 1e300), st.booleans())
def test_nothing_beyond_full_scale_is_clipped(fraction: float, negative: bool) -> None:
    with pytest.raises(ConfigError, match="beyond the generator's full scale on channel 1") as caught:
        EXACT.codes(np.array([0.0, -fraction if negative else fraction]))
    assert "amplitude" in caught.value.remedy


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_gives_no_code(value: float) -> None:
    with pytest.raises(ConfigError):
        EXACT.codes(np.array([0.0, value, 0.5]))


def test_no_samples_no_codes() -> None:
    assert EXACT.codes(np.empty(0)).shape == (0,)


def reference(amplitude: float, v_pi: float = 0.35) -> DriveRef:
    return DriveRef(instrument="awg", channel=2, v_pi=f"{v_pi} V", amplitude=f"{amplitude} V")


def test_drive_of_a_channel() -> None:
    assert Drive.of(reference(0.7), BITS_14) == Drive(2, 8191, 0.7, 0.35)
    assert Drive.of(reference(0.7), BITS_12).code_max == 2047
    with pytest.raises(ConfigError, match=r"awg channel 2: an amplitude of 0\.71 V is outside 0\.1 to 0\.7"):
        Drive.of(reference(0.71), BITS_14)
    with pytest.raises(ConfigError, match=r"awg channel 2: .* does not reach V_pi = 0\.35 V"):
        Drive.of(reference(0.69), BITS_14)


@pytest.mark.parametrize(
    ("units", "modes", "bins"),
    [
        ([BITS_14], 392, 432),
        ([BITS_14], 32, 240),
        ([BITS_12], 392, 448),
        ([BITS_12], 32, 320),
        ([BITS_14], 240, 240),
        ([BITS_14], 241, 288),
        ([BITS_14], 1, 240),
        ([BITS_14, BITS_12], 32, 384),  # a multiple of 48 and of 64, at least 320
        ([BITS_14, BITS_14], 392, 432),
    ],
)
def test_layout(units: list, modes: int, bins: int) -> None:
    layout = Timing.of(125e6, units).layout(modes)
    assert layout == RowLayout(modes, bins)
    assert layout.guards == bins - modes


@given(st.integers(1, 5000))
def test_layouts_are_legal_and_shortest(modes: int) -> None:
    for unit in (BITS_14, BITS_12):
        bins = Timing.of(125e6, [unit]).layout(modes).bins
        assert bins % unit.granularity == 0
        assert bins >= max(modes, unit.min_length)
        assert bins - unit.granularity < max(modes, unit.min_length)


def test_a_clock_that_a_generator_has_not() -> None:
    with pytest.raises(ConfigError, match="sample_rate"):
        Timing.of(1e3, [BITS_14])
    with pytest.raises(ConfigError, match="sample_rate"):
        Timing.of(10e9, [BITS_12, BITS_14])
