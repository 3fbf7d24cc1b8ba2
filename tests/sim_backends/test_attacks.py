"""Attacks as the simulated lab knows them; what they do to the light is held against theory in tests/physics."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.errors import ConfigError
from sim_backends.attacks import Attack, AttackKind, Spoils
from sim_backends.lab import open_lab


@pytest.mark.parametrize(
    ("kind", "strength"),
    [
        (AttackKind.ALL_MODES, 0.9),
        (AttackKind.RESEND, 1.1),
        (AttackKind.RESEND, -0.1),
        (AttackKind.TAP, 1.0),
        (AttackKind.SUBSTITUTION, 0.5),
        (AttackKind.INJECTION, -1.0),
        (AttackKind.INJECTION, math.nan),
    ],
)
def test_strengths_outside_their_range(kind: AttackKind, strength: float) -> None:
    with pytest.raises(ConfigError, match=kind.value):
        Attack(kind, strength)


@pytest.mark.parametrize("signal_to_noise", [0.1, 1.0, 10.0])
def test_bits_of_a_gaussian_channel(signal_to_noise: float) -> None:
    """N = 400,000 samples: the estimate's standard error is below 0.0032 bits; 4.5 of them are allowed."""
    rng = np.random.default_rng(1)
    sent = rng.normal(size=(2, 200, 1000)).astype(np.float32) * np.float32(math.sqrt(signal_to_noise))
    spoils = Spoils()
    spoils.add(sent, sent + rng.normal(size=sent.shape).astype(np.float32))
    assert spoils.samples == sent.size
    assert spoils.bits_per_mode == pytest.approx(math.log2(1 + signal_to_noise), abs=0.0144)
    spoils.share = 0.25
    assert spoils.bits_per_mode == pytest.approx(0.25 * math.log2(1 + signal_to_noise), abs=0.0144)


def test_nothing_seen_nothing_learned() -> None:
    assert Spoils().bits_per_mode == 0.0


def test_a_reset_ends_the_attack() -> None:
    lab = open_lab()
    try:
        lab.set_attack("TAP", 0.1)
        assert lab.attack() == ("TAP", 0.1, 0, 0.0)
        lab.reset(1)
        assert lab.attack() == ("NONE", 0.0, 0, 0.0)
        with pytest.raises(ConfigError):
            lab.set_attack("TAP", 2.0)
    finally:
        lab.close()
