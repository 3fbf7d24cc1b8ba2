"""What a dishonest client or a third party leaves in the returned light, and what it learns
(docs/physics.md, section 7).

No-cloning ties the two together: more than agreed is learned only at the price of excess noise ε or
of transmittance T at the server's receiver (PRX 15, 041056, security analysis). An attack states
both, layer by layer, so that the sequential test's power follows without running anything
(:mod:`labctl.protocol.power`).

Information is counted as Shannon's of Gaussian weights, in bits per row of n modes: ½ log2(1 + F²)
for one quadrature read with the squared signal to noise F², log2(1 + F²) for both of a mode. The
attacker's detectors are ideal. Beside it stands what bounds any measurement, the Holevo bound of
:func:`labctl.protocol.leakage.weight_leakage` at the T and ε that the attack leaves.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from labctl.errors import ConfigError
from labctl.protocol.design import Channel
from labctl.protocol.leakage import weight_leakage
from labctl.protocol.rowmodel import AmplifierTap, snr_squared
from labctl.protocol.walk import NoiseProfile


@dataclass(frozen=True)
class Agreed:
    """What the parties agreed on, and the channel as calibrated.

    ``gain``: G. ``mean_photons``: μ per mode at launch. Raises ConfigError for values outside their
    range.
    """

    gain: float
    mean_photons: float
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean_photons) and self.mean_photons > 0):
            raise ConfigError(f"mean_photons is {self.mean_photons}", "Give a positive number.")
        self.tap(self.gain)

    def tap(self, gain: float) -> AmplifierTap:
        """The client's amplifier and tap at ``gain``, returning 1/gain."""
        return AmplifierTap(gain, self.channel.n_sp)

    def one_mode(self, gain: float, modes: int) -> NoiseProfile:
        """Noise at the server of a client that uses ``gain`` on mode b: T_b n_sp (2 - 2/gain) in it."""
        return NoiseProfile.one_mode(self.channel.transmittance_back * self.tap(gain).returned_excess, modes)

    def product_bits(self, gain: float) -> float:
        """½ log2(1 + F²): what the one product of a row tells of it, bits."""
        squared = snr_squared(self.tap(gain), self.mean_photons, self.channel.transmittance_in)
        return math.log1p(squared) / (2 * math.log(2))


@dataclass(frozen=True)
class Trace:
    """What the server can see of a layer: ``noise`` at its receiver, and ``transmittance`` T from launch
    to it."""

    noise: NoiseProfile
    transmittance: float


@dataclass(frozen=True)
class Gain:
    """What the attacker learns of one layer in one transmission.

    ``bits_per_row``: by the measurement that the attack consists of; ``honest_bits_per_row``: what
    the agreed product tells. ``holevo_bits_per_mode``: I_w at what the attack leaves, the bound for
    any measurement on the light that is missing or disturbed.
    """

    bits_per_row: float
    honest_bits_per_row: float
    holevo_bits_per_mode: float


@dataclass(frozen=True)
class Attack(ABC):
    """``strength``: the one number of an attack; each says what it is."""

    strength: float
    name: ClassVar[str]
    symbol: ClassVar[str]

    def __post_init__(self) -> None:
        if not math.isfinite(self.strength):
            self._refuse("Give a finite number.")
        self._check()

    @abstractmethod
    def _check(self) -> None:
        """Raise ConfigError for a strength outside its range."""

    @abstractmethod
    def trace(self, agreed: Agreed, modes: int) -> Trace:
        """What is left of a layer with rows of ``modes`` modes."""

    @abstractmethod
    def bits_per_mode(self, agreed: Agreed, modes: int) -> float:
        """What the light that the attack takes tells of a mode, on average over the row's ``modes``, bits."""

    def bits_per_row(self, agreed: Agreed, modes: int) -> float:
        """What is learned of a row, bits; the agreed product counts where it is the attacker who reads it."""
        return modes * self.bits_per_mode(agreed, modes)

    def gain(self, agreed: Agreed, modes: int) -> Gain:
        """What is learned, beside what an honest client learns."""
        left = self.trace(agreed, modes)
        return Gain(
            self.bits_per_row(agreed, modes),
            agreed.product_bits(agreed.gain),
            weight_leakage(agreed.mean_photons, left.transmittance, left.noise.excess),
        )

    def _refuse(self, remedy: str) -> None:
        raise ConfigError(f"{self.name} attack: strength {self.strength}", remedy)

    def _check_fraction(self) -> None:
        if not 0 <= self.strength <= 1:
            self._refuse("Give a number from 0 to 1.")


@dataclass(frozen=True)
class GreedyGain(Attack):
    """The client amplifies mode b by G' instead of G and measures 1 - 1/G' of it.

    Leaves T_b n_sp (2 - 2/G')/n in ε, at most 4.3 times the honest value of G = 1.3, however large
    G' is; T stays. ``strength``: G' >= 1.
    """

    name = "greedy"
    symbol = "G'"

    def _check(self) -> None:
        if self.strength < 1:
            self._refuse("Give a gain of at least 1.")

    def trace(self, agreed: Agreed, modes: int) -> Trace:
        return Trace(agreed.one_mode(self.strength, modes), agreed.channel.transmittance)

    def bits_per_mode(self, agreed: Agreed, modes: int) -> float:
        return agreed.product_bits(self.strength) / modes


@dataclass(frozen=True)
class AllModes(Attack):
    """The client amplifies and taps all modes, and reads both quadratures of what it tapped.

    Leaves T_b n_sp (2 - 2/G') in every mode: n times the honest ε for G' = G; T stays. A
    dual-quadrature reading of the tapped light has F² = 2μ T_in (G'-1)/(v_m + 1) in each quadrature.
    ``strength``: G' >= 1.
    """

    name = "all-modes"
    symbol = "G'"

    def _check(self) -> None:
        if self.strength < 1:
            self._refuse("Give a gain of at least 1.")

    def trace(self, agreed: Agreed, modes: int) -> Trace:
        excess = agreed.channel.transmittance_back * agreed.tap(self.strength).returned_excess
        return Trace(NoiseProfile.uniform(excess), agreed.channel.transmittance)

    def bits_per_mode(self, agreed: Agreed, modes: int) -> float:
        tap = agreed.tap(self.strength)
        signal = 2 * agreed.mean_photons * agreed.channel.transmittance_in * tap.signal_gain
        return math.log1p(signal / (tap.measured_variance + 1)) / math.log(2)


@dataclass(frozen=True)
class HeterodyneResend(Attack):
    """The client measures both quadratures of every mode in a fraction of the rows and sends coherent
    states of the measured amplitude on; it treats the other rows as agreed.

    A dual-quadrature estimate of X has variance 2 SNU around the truth, and the state sent anew adds
    its own vacuum: excess 2 T_b SNU in every mode of these rows, 2 T_b f + (1 - f) T_b n_sp g/n on
    average; T stays, because the client sends what would have come back. It learns log2(1 + μ T_in)
    of each such mode. ``strength``: f, from 0 to 1, the same in every layer.
    """

    name = "resend"
    symbol = "f"

    def _check(self) -> None:
        self._check_fraction()

    def trace(self, agreed: Agreed, modes: int) -> Trace:
        resent = NoiseProfile.uniform(2 * agreed.channel.transmittance_back)
        noise = agreed.one_mode(agreed.gain, modes).mixed(resent, self.strength)
        return Trace(noise, agreed.channel.transmittance)

    def bits_per_mode(self, agreed: Agreed, modes: int) -> float:
        return self.strength * heterodyne_bits(agreed.mean_photons * agreed.channel.transmittance_in)

    def bits_per_row(self, agreed: Agreed, modes: int) -> float:
        honest = agreed.product_bits(agreed.gain)
        return modes * self.bits_per_mode(agreed, modes) + (1 - self.strength) * honest


@dataclass(frozen=True)
class ChannelSubstitution(Attack):
    """The client replaces a channel of transmittance T by a lossless one and keeps the difference.

    What comes back is what the lossy channel would have given: no trace in ε, and the T that the
    server calibrated. The kept share 1 - T of the light, all but mode b still coherent, tells
    log2(1 + (1-T) μ) of each mode, besides the product. The check cannot see it; the leakage prices it,
    since it counts all loss as the adversary's. ``strength``: T, launch to the server's receiver,
    above 0, at most 1.
    """

    name = "substitution"
    symbol = "T"

    def _check(self) -> None:
        if not 0 < self.strength <= 1:
            self._refuse("Give a transmittance above 0, at most 1.")

    def trace(self, agreed: Agreed, modes: int) -> Trace:
        return Trace(agreed.one_mode(agreed.gain, modes), self.strength)

    def bits_per_mode(self, agreed: Agreed, modes: int) -> float:
        return heterodyne_bits(agreed.mean_photons * (1 - self.strength))

    def bits_per_row(self, agreed: Agreed, modes: int) -> float:
        return modes * self.bits_per_mode(agreed, modes) + agreed.product_bits(agreed.gain)


@dataclass(frozen=True)
class FibreTap(Attack):
    """A third party splits a fraction off the fibre on its way to the client.

    The returned light is weaker by it, T (1 - t), and its excess noise, made behind the tap, stays:
    nothing for the check, everything for the leakage. The tapped light is coherent and tells
    log2(1 + t μ) of each mode. ``strength``: t, from 0 to 1 (excluded).
    """

    name = "tap"
    symbol = "t"

    def _check(self) -> None:
        if not 0 <= self.strength < 1:
            self._refuse("Give a fraction of at least 0, below 1.")

    def trace(self, agreed: Agreed, modes: int) -> Trace:
        left = agreed.channel.transmittance * (1 - self.strength)
        return Trace(agreed.one_mode(agreed.gain, modes), left)

    def bits_per_mode(self, agreed: Agreed, modes: int) -> float:
        return heterodyne_bits(agreed.mean_photons * self.strength)


@dataclass(frozen=True)
class Injection(Attack):
    """A third party sends noise of its own into the fibre on the way back, ``strength`` SNU in every mode
    at the server's receiver. It learns nothing, and can only make the parties stop."""

    name = "injection"
    symbol = "ε'"

    def _check(self) -> None:
        if self.strength < 0:
            self._refuse("Give a noise of at least 0 SNU.")

    def trace(self, agreed: Agreed, modes: int) -> Trace:
        noise = agreed.one_mode(agreed.gain, modes).raised(self.strength)
        return Trace(noise, agreed.channel.transmittance)

    def bits_per_mode(self, agreed: Agreed, modes: int) -> float:
        return 0.0


ATTACKS: tuple[type[Attack], ...] = (GreedyGain, AllModes, HeterodyneResend, ChannelSubstitution, FibreTap, Injection)
"""Every attack on the returned light."""


def heterodyne_bits(mean_photons: float) -> float:
    """log2(1 + μ): bits that a dual-quadrature measurement tells of a mode whose amplitude is Gaussian
    with ``mean_photons`` on average (signal variance 2μ, noise 2 SNU, per quadrature)."""
    return math.log1p(mean_photons) / math.log(2)


def named_attack(name: str, strength: float) -> Attack:
    """The attack of this name. Raises ConfigError for an unknown one or a strength outside its range."""
    for kind in ATTACKS:
        if kind.name == name:
            return kind(strength)
    known = ", ".join(kind.name for kind in ATTACKS)
    raise ConfigError(f"unknown attack {name!r}", f"Name one of: {known}.")


def usual_attacks(agreed: Agreed) -> tuple[Attack, ...]:
    """One or a few of each kind, at strengths that people ask for."""
    return (
        GreedyGain(2.0 if agreed.gain < 2 else 2 * agreed.gain),
        GreedyGain(1000.0),
        AllModes(agreed.gain),
        HeterodyneResend(0.01),
        HeterodyneResend(1.0),
        ChannelSubstitution(0.99),
        FibreTap(0.01),
        Injection(0.01),
    )
