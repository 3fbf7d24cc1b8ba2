"""Attacks that the simulated lab can mount on the light, and what the attacker's own detectors tell it
(docs/physics.md, section 7).

The attacker's equipment is ideal. Where it looks at light that it split off, it reads both quadratures of each mode
with a dual-quadrature receiver: mean sqrt(1/2) of the light's, variance 1 (SNU).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from labctl.errors import ConfigError
from sim_backends.physics import Float

#: Rows of each shot from which the attacker's information is estimated.
ROWS_WATCHED: Final = 64
#: Of the largest variance from row to row that a bin has: less is darkness.
LEAST_SPREAD: Final = 1e-4
#: Of the usual variance, between which a bin's light is signal: darker is a guard bin, brighter a pilot.
LEAST_SIGNAL: Final = 1e-3
MOST_SIGNAL: Final = 30.0


class AttackKind(StrEnum):
    """What is done; the letters in capitals are what the control instrument takes."""

    #: All modes are amplified by ``strength`` >= 1, and 1 - 1/strength of each is tapped.
    ALL_MODES = "ALLM"
    #: A fraction ``strength`` of the rows is measured and sent anew as coherent states.
    RESEND = "RES"
    #: A fraction ``strength`` of the light to the client is split off.
    TAP = "TAP"
    #: The channel's losses are the attacker's: it has a better one, and keeps the difference.
    SUBSTITUTION = "SUBS"
    #: Light is injected on the way back: ``strength`` SNU of excess noise in every mode at the server's receiver.
    INJECTION = "INJ"


@dataclass(frozen=True)
class Attack:
    """One attack, in force until it is cleared. Raises ConfigError for a strength outside its range."""

    kind: AttackKind
    strength: float = 0.0

    def __post_init__(self) -> None:
        low, high = {
            AttackKind.ALL_MODES: (1.0, 1e6),
            AttackKind.RESEND: (0.0, 1.0),
            AttackKind.TAP: (0.0, 0.999999),
            AttackKind.SUBSTITUTION: (0.0, 0.0),
            AttackKind.INJECTION: (0.0, 1e6),
        }[self.kind]
        if not low <= self.strength <= high:
            raise ConfigError(f"attack {self.kind}: strength {self.strength:g}", f"Give {low:g} to {high:g}.")

    @property
    def all_gain(self) -> float:
        """Gain in every mode."""
        return self.strength if self.kind is AttackKind.ALL_MODES else 1.0

    @property
    def resent(self) -> float:
        """Fraction of rows sent anew."""
        return self.strength if self.kind is AttackKind.RESEND else 0.0

    @property
    def passed(self) -> float:
        """Fraction of the light that goes on to the client."""
        return 1 - self.strength if self.kind is AttackKind.TAP else 1.0

    @property
    def injected(self) -> float:
        """Excess noise added to every mode on the way back, SNU at the server's receiver."""
        return self.strength if self.kind is AttackKind.INJECTION else 0.0


@dataclass
class Spoils:
    """Sums over the attacker's samples y and the quadratures s as launched: N, Σs², Σsy, Σy² (SNU).

    ``share``: of the modes sent, those that the samples stand for.
    """

    samples: int = 0
    ss: float = 0.0
    sy: float = 0.0
    yy: float = 0.0
    share: float = 1.0

    def add(self, launched: Float, read: Float) -> None:
        """Samples of equal shape."""
        s, y = launched.astype(np.float64).ravel(), read.astype(np.float64).ravel()
        self.samples += s.size
        self.ss += float(s @ s)
        self.sy += float(s @ y)
        self.yy += float(y @ y)

    @property
    def bits_per_mode(self) -> float:
        """-log2(1 - ρ²): what both quadratures of a mode tell of a Gaussian amplitude, averaged over all modes sent."""
        if self.samples == 0 or self.ss == 0 or self.yy == 0:
            return 0.0
        correlation = min(self.sy**2 / (self.ss * self.yy), 1 - 1e-12)
        return -self.share * math.log2(1 - correlation)


def watched(plane: Float) -> tuple[slice, np.ndarray]:
    """Rows and bins of a launched plane (2, M, B) that the attacker's information is estimated from."""
    return slice(0, min(ROWS_WATCHED, plane.shape[1])), signal_bins(plane)


def signal_bins(plane: Float) -> np.ndarray:
    """Bins, shape (B,), that carry weights. An attacker who knows the protocol looks at these: light that is alike in
    all rows leaks through the modulator in a guard bin, and what is far brighter than most is a pilot.
    """
    if plane.shape[1] < 2:
        return np.asarray(plane.any(axis=(0, 1)))
    spread = plane.var(axis=1).sum(axis=0)
    usual = float(np.median(spread[spread > LEAST_SPREAD * spread.max()])) if spread.any() else 0.0
    return np.asarray((spread > LEAST_SIGNAL * usual) & (spread < MOST_SIGNAL * usual))


def read_dual(generator: np.random.Generator, light: Float, excess: float = 0.0) -> Float:
    """A dual-quadrature reading of light with these mean quadratures and ``excess`` noise beyond vacuum, SNU."""
    noise = generator.standard_normal(light.shape, dtype=np.float32) * np.float32(math.sqrt(1 + excess / 2))
    return np.asarray(np.float32(math.sqrt(0.5)) * light + noise)


@dataclass(frozen=True)
class Mounted:
    """An attack at work on one shot. ``n_sp``: of the client's amplifiers; ``transmittance``: of the channel."""

    attack: Attack
    spoils: Spoils
    generator: np.random.Generator
    n_sp: float
    out: float
    back: float

    def launched(self, plane: Float) -> Float:
        """What arrives at the client's unitary, in amplitudes as launched; the attacker takes his share on the way."""
        if self.attack.kind is AttackKind.RESEND:
            return self._resent(plane)
        light, excess = self._looked_at()
        if light > 0 and plane.any():
            rows, bins = watched(plane)
            sent = plane[:, rows][:, :, bins]
            self.spoils.add(sent, read_dual(self.generator, sent * np.float32(math.sqrt(light)), excess))
        return plane

    def _looked_at(self) -> tuple[float, float]:
        """Share of the launched power that falls on the attacker's receiver, and its excess noise, SNU."""
        kind, gain = self.attack.kind, self.attack.all_gain
        if kind is AttackKind.TAP:
            return self.attack.strength, 0.0
        if kind is AttackKind.SUBSTITUTION:
            return 1 - self.out * self.back, 0.0
        if kind is AttackKind.ALL_MODES and gain > 1:
            measured = (gain - 1) + (gain - 1) ** 2 * (2 * self.n_sp - 1) / gain + 1 / gain
            return self.out * (gain - 1), measured - 1
        return 0.0, 0.0

    def _resent(self, plane: Float) -> Float:
        """Some rows measured at the client and sent anew with the amplitudes found: 2 SNU of noise in every mode."""
        chosen = np.flatnonzero(self.generator.random(plane.shape[1]) < self.attack.resent)
        if not chosen.size:
            return plane
        amplitude = np.float32(math.sqrt(self.out))
        read = read_dual(self.generator, plane[:, chosen] * amplitude)
        lit = signal_bins(plane)
        self.spoils.share = self.attack.resent
        self.spoils.add(plane[:, chosen][:, :, lit], read[:, :, lit])
        anew = plane.copy()
        anew[:, chosen] = read * (np.float32(math.sqrt(2)) / amplitude)
        return anew

    @property
    def excess(self) -> float:
        """Noise beyond vacuum that every mode brings to the way back, SNU behind the client."""
        return self.n_sp * (2 - 2 / self.attack.all_gain)
