"""A server's guess of the data. Statistical tests allow 4.5 standard errors of the mean: a right estimator fails one in
150,000 times a figure; seeds are fixed."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.errors import ConfigError, ProtocolError
from labctl.protocol.encoding import pack_data
from labctl.protocol.estimation import Receiver
from labctl.protocol.leakage import data_leakage_journal
from labctl.protocol.recovery import (
    as_data,
    complex_residuals,
    expected_overlap,
    leading_mode,
    overlap,
    overlap_bound,
    spike,
)


def drawn(strength: float, rows: int, modes: int, repeats: int, seed: int) -> np.ndarray:
    """Overlaps of guesses from vacuum of variance 1 and ``strength`` more in a random mode."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(repeats):
        mode = pack_data(rng.random(2 * modes)).z
        noise = rng.standard_normal((rows, modes)) + 1j * rng.standard_normal((rows, modes))
        in_mode = rng.standard_normal(rows) + 1j * rng.standard_normal(rows)
        found.append(overlap(leading_mode(noise + np.sqrt(strength) * np.outer(in_mode, mode)), mode))
    return np.array(found)


@pytest.mark.parametrize(("strength", "rows", "modes"), [(1.0, 2000, 20), (0.5, 4000, 16), (0.3, 6000, 24)])
def test_many_rows_above_the_threshold(strength: float, rows: int, modes: int) -> None:
    """n is finite: its share of the deviation, below 1/n of 1 - overlap, is allowed on top."""
    found, theory = drawn(strength, rows, modes, 60, seed=3), expected_overlap(strength, rows, modes)
    assert theory > 0.9
    assert abs(found.mean() - theory) < 4.5 * found.std() / np.sqrt(60) + 2 * (1 - theory) / modes


def test_far_below_the_threshold_the_guess_is_random() -> None:
    """|<ẑ,z>|² of a random ẑ is beta distributed, mean 1/n, standard deviation just below 1/n."""
    modes, repeats = 24, 300
    assert expected_overlap(0.01, 48, modes) == 1 / modes
    assert abs(drawn(0.01, 48, modes, repeats, seed=4).mean() * modes - 1) < 4.5 / np.sqrt(repeats) + 0.1


def test_theory() -> None:
    assert expected_overlap(1.0, 64, 32) == pytest.approx((1 - 0.5) / (1 + 0.5))
    assert expected_overlap(np.sqrt(0.5), 64, 32) == 1 / 32
    assert expected_overlap(0.7072, 64, 32) == 1 / 32  # just above it, the guess is no worse than a random one
    assert expected_overlap(0.0, 1, 1) == 1
    assert overlap_bound(0.5) == pytest.approx(0.5)
    assert overlap_bound(0.0) == 0
    assert overlap_bound(data_leakage_journal(1.0, 392, 784)) == pytest.approx(0.5)
    assert spike(Receiver(0.5, 0.8, 1.1), 1.5) == pytest.approx(0.5 * 0.8 * 1.5 / 1.1)
    with pytest.raises(ConfigError, match="0 rows"):
        expected_overlap(1.0, 0, 3)


@pytest.mark.parametrize("gain", [1.1, 1.3, 2.0, 10.0, 1e6])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 1.0, 2.0])
def test_the_bound_covers_the_attack(gain: float, ratio: float) -> None:
    """A dual receiver on an ideal bench never finds more than the journal's bound allows."""
    excess, modes = 2 - 2 / gain, 1000
    rows = round(modes / ratio)
    found = expected_overlap(spike(Receiver(0.5), excess), rows, modes)
    assert found <= max(overlap_bound(data_leakage_journal(excess, modes, rows)), 1 / modes)


def test_residuals() -> None:
    """What is left of r = 0.7 s + d with d orthogonal to s is d."""
    rng = np.random.default_rng(1)
    s, d = rng.standard_normal((2, 2, 30, 5))
    d -= np.vdot(s, d) / np.vdot(s, s) * s
    found = complex_residuals(s.astype(np.float64), 0.7 * s + d)
    np.testing.assert_allclose(found, d[0] + 1j * d[1])
    for launched, received in ((s, s[:, :3]), (s[0], s[0]), (s * 0, d)):
        with pytest.raises(ProtocolError):
            complex_residuals(launched, received)


@pytest.mark.parametrize("phase", [0.0, 1.0, -2.5])
def test_data_of_a_guess(phase: float) -> None:
    """Packed as in section 2, whatever the phase; a guess without a sum keeps its phase."""
    data = np.array([0.0, 0.2, 0.5, 1.0, 0.3, 0.1])
    mode = pack_data(data).z
    # Re Σ (1 - i) z is the sum of the data; it is largest at the right phase only where Im vanishes.
    total = complex(mode.sum() * (1 - 1j))
    right = mode * abs(total) / total
    np.testing.assert_allclose(as_data(mode * np.exp(1j * phase)), right.view(np.float64), atol=1e-12)
    balanced = np.array([1.0, -1.0]) / np.sqrt(2) + 0j
    np.testing.assert_allclose(as_data(balanced), balanced.view(np.float64))
