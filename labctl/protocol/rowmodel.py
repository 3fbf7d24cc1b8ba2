"""What one row of weights becomes in the agreed optics (docs/physics.md, section 3).

A phase-insensitive amplifier of gain G >= 1 acts on the mode b that holds the inner product; a tap
returns a fraction τ of the power (1/G as agreed, which restores the mean) and measures the rest.
This is the protocol's own statement of the paper's amplify-and-tap receiver (PRX 15, 041056): what
the parties agree on and reckon with. It knows no simulation.

The mode-level calculation gives a squared signal to noise of 2μ/DX2 in the normalised product <x̂,
w>/w_rms; the authors' scripts use μ/DX2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from labctl.errors import ConfigError


@dataclass(frozen=True)
class AmplifierTap:
    """Amplifier and tap on the one mode that the client measures.

    Parameters
    ----------
    gain:
        Power gain G >= 1.
    n_sp:
        Population inversion factor >= 1: the amplifier adds (G-1)(2 n_sp - 1) of vacuum noise.
    returned_fraction:
        τ in (0, 1], power fraction that goes back to the server; None for the agreed 1/G.

    Raises
    ------
    ConfigError
        A value outside its range.
    """

    gain: float
    n_sp: float = 1.0
    returned_fraction: float | None = None

    def __post_init__(self) -> None:
        remedy = "Give a gain of at least 1, n_sp of at least 1, a returned fraction within (0, 1]."
        if not (math.isfinite(self.gain) and self.gain >= 1):
            raise ConfigError(f"amplifier gain is {self.gain}", remedy)
        if not (math.isfinite(self.n_sp) and self.n_sp >= 1):
            raise ConfigError(f"amplifier n_sp is {self.n_sp}", remedy)
        if not 0 < self.tau <= 1:
            raise ConfigError(f"returned fraction is {self.returned_fraction}", remedy)

    @property
    def tau(self) -> float:
        """Returned power fraction."""
        return 1 / self.gain if self.returned_fraction is None else self.returned_fraction

    @property
    def signal_gain(self) -> float:
        """Power factor (1-τ)G of the measured signal; G - 1 for τ = 1/G."""
        return self.gain - 1 if self.returned_fraction is None else (1 - self.tau) * self.gain

    @property
    def measured_variance(self) -> float:
        """v_m in SNU at the client's detector; (2G² - 3G + 2)/G for n_sp = 1 and τ = 1/G."""
        return 1 + (1 - self.tau) * self._amplified_excess

    @property
    def returned_excess(self) -> float:
        """Excess noise g in SNU of returned mode b's quadratures; n_sp (2 - 2/G) if τ = 1/G."""
        return self.tau * self._amplified_excess

    @property
    def covariance(self) -> float:
        """Covariance in SNU, measured and returned noise; 2 n_sp (G-1)^1.5/G if τ = 1/G."""
        return math.sqrt(self.tau * (1 - self.tau)) * self._amplified_excess

    @property
    def product_variance(self) -> float:
        """DX2 in SNU: noise variance of the product referred to X_b (least 1.8284, at G = 3.4142).

        Infinite where nothing is measured (G = 1 or τ = 1).
        """
        return self.measured_variance / self.signal_gain if self.signal_gain > 0 else math.inf

    @property
    def amplitude_factor(self) -> float:
        """sqrt(τG): mean amplitude of mode b, returned over arriving; 1 as agreed."""
        return math.sqrt(self.tau * self.gain)

    @property
    def _amplified_excess(self) -> float:
        """Noise after the amplifier in excess of vacuum: G + (G-1)(2 n_sp - 1) - 1."""
        return 2 * self.n_sp * (self.gain - 1)

    def honest_excess(self, modes: int, transmittance_back: float = 1.0) -> float:
        """ε = T_b g/n in SNU: excess noise at the server's receiver, mean over a row's n modes."""
        return transmittance_back * self.returned_excess / modes

    def mismatch_excess(self, mean_photons: float, modes: int, transmittance: float = 1.0) -> float:
        """About what a τ other than 1/G adds to ε: T 2μ (sqrt(τG) - 1)²/n in SNU.

        It is a data-dependent mean in the residual, not noise: the bounds on the data's leakage do
        not cover it.
        """
        return transmittance * 2 * mean_photons * (self.amplitude_factor - 1) ** 2 / modes


@dataclass(frozen=True)
class ClientReceiver:
    """The client's homodyne receiver: efficiency η_c in (0, 1], electronic noise v_el,c in SNU.

    Raises ConfigError for values outside their range.
    """

    efficiency: float = 1.0
    electronic_noise_snu: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.efficiency <= 1:
            raise ConfigError(f"client receiver efficiency is {self.efficiency}", "Give a value within (0, 1].")
        if not (math.isfinite(self.electronic_noise_snu) and self.electronic_noise_snu >= 0):
            raise ConfigError(
                f"client receiver electronic noise is {self.electronic_noise_snu} SNU",
                "Give a finite value of at least 0.",
            )

    def noise_variance(self, tap: AmplifierTap) -> float:
        """η_c v_m + 1 - η_c + v_el,c in SNU: of what it measures behind this amplifier and tap."""
        return self.efficiency * tap.measured_variance + 1 - self.efficiency + self.electronic_noise_snu


_IDEAL = ClientReceiver()


def snr_squared(
    tap: AmplifierTap,
    mean_photons: float,
    transmittance_in: float = 1.0,
    receiver: ClientReceiver = _IDEAL,
) -> float:
    """F²: squared signal to noise of the normalised product <x̂, w>/w_rms.

    F² = 2μ T_in η_c (G-1)/(η_c v_m + 1 - η_c + v_el,c), for any τ with (1-τ)G in the place of G -
    1. Ideal: 2μ/DX2.

    Parameters
    ----------
    mean_photons:
        μ, photons per mode at launch.
    transmittance_in:
        T_in, power transmittance from launch to the amplifier, fibre and unitary.
    """
    signal = 2 * mean_photons * transmittance_in * receiver.efficiency * tap.signal_gain
    return signal / receiver.noise_variance(tap)
