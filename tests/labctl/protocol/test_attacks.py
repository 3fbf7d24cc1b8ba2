from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import ConfigError
from labctl.protocol.attacks import (
    ATTACKS,
    Agreed,
    AllModes,
    Attack,
    ChannelSubstitution,
    FibreTap,
    GreedyGain,
    HeterodyneResend,
    heterodyne_bits,
    named_attack,
    usual_attacks,
)
from labctl.protocol.design import Channel
from labctl.protocol.leakage import weight_leakage
from labctl.protocol.rowmodel import AmplifierTap

AGREED = Agreed(1.3, 4.0)
LOSSY = Agreed(1.3, 4.0, Channel(0.8, 0.7, 1.5))
HONEST = 0.461538 / 392


def excess(attack: Attack, agreed: Agreed = AGREED, modes: int = 392) -> float:
    return attack.trace(agreed, modes).noise.excess


# --- what each leaves -----------------------------------------------------------------------------


def test_traces_on_an_ideal_bench() -> None:
    assert excess(GreedyGain(1.3)) == pytest.approx(HONEST, rel=1e-5)
    assert excess(GreedyGain(2.0)) == pytest.approx(1 / 392)
    assert excess(GreedyGain(1e9)) / HONEST == pytest.approx(4.333, abs=1e-3)
    assert excess(AllModes(1.3)) == pytest.approx(392 * HONEST, rel=1e-5)
    assert excess(HeterodyneResend(1.0)) == pytest.approx(2.0)
    assert excess(HeterodyneResend(0.25)) == pytest.approx(0.5 + 0.75 * HONEST, rel=1e-5)
    for attack in (ChannelSubstitution(0.9), FibreTap(0.1)):
        assert excess(attack) == pytest.approx(HONEST, rel=1e-5)
        assert attack.trace(AGREED, 392).transmittance == pytest.approx(0.9)


def test_traces_behind_loss_and_a_real_amplifier() -> None:
    assert excess(GreedyGain(2.0), LOSSY) == pytest.approx(0.7 * 1.5 / 392)
    assert excess(AllModes(2.0), LOSSY) == pytest.approx(0.7 * 1.5)
    assert excess(HeterodyneResend(1.0), LOSSY) == pytest.approx(1.4)
    for attack in (GreedyGain(2.0), AllModes(2.0), HeterodyneResend(0.5)):
        assert attack.trace(LOSSY, 392).transmittance == pytest.approx(0.56)
    assert FibreTap(0.1).trace(LOSSY, 392).transmittance == pytest.approx(0.504)


def test_heterodyne_and_resend_by_drawing() -> None:
    """100,000 states measured and sent anew: excess 2 SNU a quadrature within 5 standard errors, means kept."""
    rng = np.random.default_rng(2)
    count = 100_000
    x = 2 * rng.standard_normal(count)
    split = math.sqrt(0.5) * x + rng.standard_normal(count)  # one output of the dual receiver, vacuum noise
    resent = math.sqrt(2) * split + rng.standard_normal(count)  # its estimate of x, and a coherent state's own noise
    residual = resent - x
    assert residual.var() - 1 == pytest.approx(excess(HeterodyneResend(1.0)), abs=5 * 3 * math.sqrt(2 / count))
    assert np.dot(resent, x) / np.dot(x, x) == pytest.approx(1, abs=5 * math.sqrt(3 / np.dot(x, x)))
    # and what was learned: Gaussian information from the correlation, per quadrature
    x = math.sqrt(2 * 4.0) * rng.standard_normal(count)
    seen = math.sqrt(0.5) * x + rng.standard_normal(count)
    rho = np.corrcoef(x, seen)[0, 1]
    assert -math.log2(1 - rho**2) == pytest.approx(heterodyne_bits(4.0), abs=0.05)


def test_all_modes_by_drawing() -> None:
    """100,000 modes amplified, tapped and read twice over: information from the correlation, within 1 %."""
    rng, gain, count = np.random.default_rng(5), 2.0, 100_000
    x = math.sqrt(2 * 4.0) * rng.standard_normal(count)
    amplified = math.sqrt(gain) * (x + rng.standard_normal(count)) + math.sqrt(gain - 1) * rng.standard_normal(count)
    tapped = math.sqrt(1 - 1 / gain) * amplified + math.sqrt(1 / gain) * rng.standard_normal(count)
    read = (tapped + rng.standard_normal(count)) / math.sqrt(2)
    rho = np.corrcoef(x, read)[0, 1]
    assert AllModes(gain).bits_per_row(AGREED, 1) == pytest.approx(-math.log2(1 - rho**2), rel=0.01)


# --- what each gains ------------------------------------------------------------------------------


def test_gains() -> None:
    honest = 0.5 * math.log2(1 + 8 / AmplifierTap(1.3).product_variance)
    found = GreedyGain(2.0).gain(AGREED, 392)
    assert found.honest_bits_per_row == pytest.approx(honest)
    assert found.bits_per_row == pytest.approx(0.5 * math.log2(1 + 8 / 2.0))
    assert found.holevo_bits_per_mode == pytest.approx(weight_leakage(4.0, 1.0, 1 / 392))
    assert GreedyGain(1.3).gain(AGREED, 392).bits_per_row == pytest.approx(honest)
    assert HeterodyneResend(1.0).gain(AGREED, 392).bits_per_row == pytest.approx(392 * math.log2(5))
    assert HeterodyneResend(1.0).gain(LOSSY, 392).bits_per_row == pytest.approx(392 * math.log2(1 + 3.2))
    assert HeterodyneResend(0.0).gain(AGREED, 392).bits_per_row == pytest.approx(honest)
    assert FibreTap(0.01).gain(AGREED, 392).bits_per_row == pytest.approx(392 * math.log2(1.04))
    assert FibreTap(0.01).gain(AGREED, 392).holevo_bits_per_mode == pytest.approx(0.276, abs=1e-3)
    assert ChannelSubstitution(0.99).gain(AGREED, 392).bits_per_row == pytest.approx(392 * math.log2(1.04) + honest)


@given(
    st.sampled_from(ATTACKS),
    st.floats(0.01, 0.99),
    st.floats(1.05, 10),
    st.floats(0.05, 20),
    st.floats(0.3, 1),
    st.integers(2, 400),
)
def test_no_measurement_tells_more_than_the_holevo_bound(
    kind: type[Attack], strength: float, gain: float, photons: float, passed: float, modes: int
) -> None:
    """The bound counts all that is missing or disturbed as learned; with loss in the agreed channel too."""
    agreed = Agreed(gain, photons, Channel(passed, passed))
    if kind is ChannelSubstitution:
        strength = strength * passed**2
    attack = kind(strength * 20 + 1 if kind in (GreedyGain, AllModes) else strength)
    found = attack.gain(agreed, modes)
    assert found.bits_per_row <= modes * found.holevo_bits_per_mode * (1 + 1e-9)
    assert found.bits_per_row >= 0


# --- by name --------------------------------------------------------------------------------------


def test_attacks_by_name() -> None:
    assert named_attack("greedy", 2.0) == GreedyGain(2.0)
    assert [kind.name for kind in ATTACKS] == ["greedy", "all-modes", "resend", "substitution", "tap", "injection"]
    with pytest.raises(ConfigError, match="unknown attack") as caught:
        named_attack("bribery", 1.0)
    assert "greedy, all-modes" in caught.value.remedy
    assert {type(attack) for attack in usual_attacks(AGREED)} == set(ATTACKS)
    assert all(attack.strength > 3 for attack in usual_attacks(Agreed(3.0, 1.0)) if isinstance(attack, GreedyGain))


@pytest.mark.parametrize(
    ("name", "strength"),
    [
        ("greedy", 0.9),
        ("greedy", math.nan),
        ("greedy", math.inf),
        ("all-modes", 0.0),
        ("resend", -0.1),
        ("resend", 1.1),
        ("substitution", 0.0),
        ("substitution", 1.01),
        ("tap", 1.0),
        ("tap", -0.1),
    ],
)
def test_strengths_outside_their_range(name: str, strength: float) -> None:
    with pytest.raises(ConfigError, match=f"{name} attack: strength") as caught:
        named_attack(name, strength)
    assert caught.value.remedy


def test_impossible_terms() -> None:
    with pytest.raises(ConfigError):
        Agreed(0.9, 4.0)
    with pytest.raises(ConfigError):
        Agreed(1.3, 0.0)
