"""What imperfections the waveform-level twin has: everything ideal unless said otherwise, the unit in every name.

Symbols, formulas and sources: docs/physics.md, section 4a. Frequencies and times are those of the lab; the sample
rate of the simulated records ties them to samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from labctl.errors import ConfigError

REMEDY = "Mend this parameter of the simulated waveform."
#: The longest delay line of the laser's phase: it is copied once a block.
MAX_DELAY_SAMPLES = 2_000_000
#: Beyond it, intensity noise would not be small.
MAX_RIN_DEVIATION = 0.1


def require(condition: bool, what: str) -> None:
    """Raises ConfigError with ``what`` unless the condition holds."""
    if not condition:
        raise ConfigError(f"waveform: {what}", REMEDY)


@dataclass(frozen=True)
class LowPass:
    """A low-pass filter with its -3 dB point at ``bandwidth_hz``; ``order`` poles; Bessel or Butterworth."""

    bandwidth_hz: float
    order: int = 4
    kind: Literal["bessel", "butterworth"] = "bessel"

    def __post_init__(self) -> None:
        require(math.isfinite(self.bandwidth_hz) and self.bandwidth_hz > 0, f"bandwidth_hz is {self.bandwidth_hz}")
        require(1 <= self.order <= 10, f"a low pass has 1 to 10 poles, not {self.order}")
        require(self.kind in ("bessel", "butterworth"), f"low pass {self.kind!r} is neither bessel nor butterworth")


@dataclass(frozen=True)
class TransmitterPhysics:
    """Waveform generator, driver amplifiers and IQ modulator at null.

    ``peak_amplitude``: |α| of one sample, in sqrt(photons), that one fully open arm sends. The sender's software takes
    the arms' sine into account with ``design_v_pi_v``. ``generator_bits``:
    None for an infinitely fine converter, of full scale ± ``generator_full_scale_v``. ``skew_s``: Q later than I.
    ``bias_i_v``, ``bias_q_v``: of the arms, off their null. ``angle_error_rad``: of the third electrode, off 90°.
    ``gain_ratio``: field of the Q arm over that of the I arm. ``extinction_ratio_db``: of each arm.
    """

    peak_amplitude: float
    design_v_pi_v: float = 1.0
    v_pi_i_v: float = 1.0
    v_pi_q_v: float = 1.0
    generator_bits: int | None = None
    generator_full_scale_v: float = math.inf
    generator_low_pass: LowPass | None = None
    driver_low_pass: LowPass | None = None
    skew_s: float = 0.0
    bias_i_v: float = 0.0
    bias_q_v: float = 0.0
    angle_error_rad: float = 0.0
    gain_ratio: float = 1.0
    extinction_ratio_db: float = math.inf

    def __post_init__(self) -> None:
        peak = self.peak_amplitude
        require(math.isfinite(peak) and peak > 0, f"peak_amplitude is {peak}, not positive")
        for name in ("design_v_pi_v", "v_pi_i_v", "v_pi_q_v", "generator_full_scale_v", "gain_ratio"):
            require(getattr(self, name) > 0, f"{name} is {getattr(self, name)}, not positive")
        for name in ("skew_s", "bias_i_v", "bias_q_v", "angle_error_rad"):
            require(math.isfinite(getattr(self, name)), f"{name} is {getattr(self, name)}, not finite")
        require(self.extinction_ratio_db >= 0, f"extinction_ratio_db is {self.extinction_ratio_db}")
        bits = self.generator_bits
        require(bits is None or 2 <= bits <= 16, f"generator_bits is {bits}, not 2 to 16")
        require(
            bits is None or math.isfinite(self.generator_full_scale_v),
            "a converter with bits needs a finite generator_full_scale_v",
        )


@dataclass(frozen=True)
class LaserPhysics:
    """One laser for signal and local oscillator. ``delay_s``: how much later the signal arrives than the latter.

    ``linewidth_hz``: Δν of a Wiener phase. ``rin_db_hz``: relative intensity noise, one-sided, white over the simulated
    band (-inf for none). ``phase_rad``: constant phase of the signal against the local oscillator.
    """

    linewidth_hz: float = 0.0
    delay_s: float = 0.0
    rin_db_hz: float = -math.inf
    phase_rad: float = 0.0

    def __post_init__(self) -> None:
        require(math.isfinite(self.linewidth_hz) and self.linewidth_hz >= 0, f"linewidth_hz is {self.linewidth_hz}")
        require(math.isfinite(self.delay_s) and self.delay_s >= 0, f"delay_s is {self.delay_s}")
        require(self.rin_db_hz < 0, f"rin_db_hz is {self.rin_db_hz}, not negative")
        require(math.isfinite(self.phase_rad), f"phase_rad is {self.phase_rad}, not finite")


@dataclass(frozen=True)
class ReceiverPhysics:
    """A homodyne (one record) or dual-quadrature receiver (two) with its digitizer.

    ``electronic_noise_snu``: v_el at the reference local-oscillator power. ``lo_power_w``: per detector; shot noise
    grows with P/(1 + P/``lo_saturation_w``). ``cmrr_db``: how much of the local oscillator's intensity noise is left.
    ``skew_s``: P later than X. ``angle_error_rad``: of the 90° hybrid. ``gain_ratio``: volts of the P output over those
    of the X output. ``volts_per_snu``: per sqrt(SNU) of one sample at the reference power. ``adc_bits``: None for an
    infinitely fine converter of full scale ± ``adc_full_scale_v``.
    """

    dual_quadrature: bool = True
    efficiency: float = 1.0
    electronic_noise_snu: float = 0.0
    lo_power_w: float = 0.01
    lo_reference_power_w: float = 0.01
    lo_saturation_w: float = math.inf
    wavelength_m: float = 1550.12e-9
    cmrr_db: float = math.inf
    low_pass: LowPass | None = None
    skew_s: float = 0.0
    angle_error_rad: float = 0.0
    gain_ratio: float = 1.0
    volts_per_snu: float = 0.02
    adc_bits: int | None = None
    adc_full_scale_v: float = math.inf

    def __post_init__(self) -> None:
        require(0 < self.efficiency <= 1, f"efficiency is {self.efficiency}, not in (0, 1]")
        require(
            math.isfinite(self.electronic_noise_snu) and self.electronic_noise_snu >= 0,
            f"electronic_noise_snu is {self.electronic_noise_snu}",
        )
        require(math.isfinite(self.lo_power_w) and self.lo_power_w >= 0, f"lo_power_w is {self.lo_power_w}")
        for name in ("lo_reference_power_w", "lo_saturation_w", "wavelength_m", "gain_ratio", "volts_per_snu"):
            require(getattr(self, name) > 0, f"{name} is {getattr(self, name)}, not positive")
        require(self.cmrr_db >= 0, f"cmrr_db is {self.cmrr_db}")
        for name in ("skew_s", "angle_error_rad"):
            require(math.isfinite(getattr(self, name)), f"{name} is {getattr(self, name)}, not finite")
        require(self.adc_full_scale_v > 0, f"adc_full_scale_v is {self.adc_full_scale_v}, not positive")
        bits = self.adc_bits
        require(bits is None or 2 <= bits <= 16, f"adc_bits is {bits}, not 2 to 16")
        require(bits is None or math.isfinite(self.adc_full_scale_v), "a converter with bits needs a finite full scale")

    @property
    def kappa(self) -> float:
        """1 (homodyne) or 1/2 (dual quadrature)."""
        return 0.5 if self.dual_quadrature else 1.0

    def effective_power_w(self, power_w: float) -> float:
        """The power that counts for gain and shot noise: P/(1 + P/P_sat)."""
        return power_w / (1 + power_w / self.lo_saturation_w)

    @property
    def lo_gain(self) -> float:
        """Shot noise's variance in volts² relative to that at the reference power."""
        return self.effective_power_w(self.lo_power_w) / self.effective_power_w(self.lo_reference_power_w)


@dataclass(frozen=True)
class WaveformPhysics:
    """The whole link at ``sample_rate_hz``. ``transmitter``: None for one that sends what it is asked for.
    ``transmittance``: power, from the modulator to the receiver.
    """

    sample_rate_hz: float
    transmitter: TransmitterPhysics | None = None
    laser: LaserPhysics = LaserPhysics()
    transmittance: float = 1.0
    receiver: ReceiverPhysics = ReceiverPhysics()

    def __post_init__(self) -> None:
        rate = self.sample_rate_hz
        require(math.isfinite(rate) and rate > 0, f"sample_rate_hz is {rate}")
        require(0 <= self.transmittance <= 1, f"transmittance is {self.transmittance}, not in [0, 1]")
        transmitter, receiver = self.transmitter, self.receiver
        low_passes = [receiver.low_pass]
        if transmitter is not None:
            low_passes += [transmitter.generator_low_pass, transmitter.driver_low_pass]
        for low_pass in low_passes:
            require(
                low_pass is None or low_pass.bandwidth_hz < rate / 2,
                f"a low pass must lie below half the sample rate of {rate:g} Hz",
            )
        require(
            self.laser.delay_s * rate <= MAX_DELAY_SAMPLES,
            f"delay_s is {self.laser.delay_s}, more than {MAX_DELAY_SAMPLES} samples",
        )
        require(
            self.rin_deviation <= MAX_RIN_DEVIATION,
            f"rin_db_hz of {self.laser.rin_db_hz} makes the intensity vary by more than {MAX_RIN_DEVIATION:.0%}",
        )

    @property
    def rin_deviation(self) -> float:
        """Relative intensity noise of one sample, standard deviation: sqrt(10^(RIN/10) f_s/2)."""
        return math.sqrt(10 ** (self.laser.rin_db_hz / 10) * self.sample_rate_hz / 2)
