"""What the formulas need of a simulated bench's ``[world]``: its faults, by the keys of docs/reference/files.md.

The simulated lab checks the table when it opens; here it is read again, and what makes no noise is passed over.
"""

from __future__ import annotations

import math

import numpy as np
from pydantic import ConfigDict

from labctl.schema import (
    Decibels,
    GainPoint,
    NonNegativeHertz,
    Seconds,
    SignedVolts,
    StrictModel,
    Volts,
    Watts,
    validate,
)


class _Part(StrictModel):
    """Other keys are the simulated lab's."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Laser(_Part):
    """See ``[world.laser]``."""

    linewidth: NonNegativeHertz = 0.0
    rin_db_per_hz: float | None = None
    power_drift_per_hour: float = 0.0

    def step_variance(self, bin_rate_hz: float) -> float:
        """Of the phase from bin to bin, rad²: 2πΔν/f."""
        return 2 * math.pi * self.linewidth / bin_rate_hz

    def intensity_variance(self, bin_rate_hz: float) -> float:
        """σ_δ² of the relative intensity in a bin: 10^(RIN/10) f/2."""
        return 0.0 if self.rin_db_per_hz is None else 10 ** (self.rin_db_per_hz / 10) * bin_rate_hz / 2


class Modulator(_Part):
    """See ``[world.modulator]``."""

    v_pi_i: Volts = 0.35
    v_pi_q: Volts = 0.35
    bias_i: SignedVolts = 0.0
    bias_q: SignedVolts = 0.0
    bias_drift_i_per_hour: SignedVolts = 0.0
    bias_drift_q_per_hour: SignedVolts = 0.0
    angle_error_deg: float = 0.0
    gain_ratio: float = 1.0
    extinction_ratio: Decibels | None = None


class Channel(_Part):
    """See ``[world.channel]``."""

    loss_out: Decibels = 0.0
    loss_back: Decibels = 0.0


class Unitary(_Part):
    """See ``[world.unitary]``."""

    v_pi_forward_coupler: Volts = 0.35
    v_pi_forward_phase: Volts = 0.35
    v_pi_return_coupler: Volts = 0.35
    v_pi_return_phase: Volts = 0.35
    loop_loss: Decibels = 0.0
    loop_phase_error_deg: float = 0.0


class Tap(_Part):
    """See ``[world.tap]``."""

    v_pi: Volts = 0.35
    fraction_error: float = 0.0


class Amplifier(_Part):
    """See ``[world.amplifier]``."""

    gain_curve: list[GainPoint]
    n_sp: float = 1.0
    gain_error: float = 0.0

    def gain(self, pump_a: float) -> float:
        """What a pump current gives, straight lines between the points."""
        pumps, gains = zip(*((point.pump, point.gain) for point in self.gain_curve), strict=True)
        return max(1.0, float(np.interp(pump_a, pumps, gains)) * (1 + self.gain_error))


class Receiver(_Part):
    """See ``[world.client_receiver]`` and ``[world.server_receiver]``."""

    efficiency: float = 1.0
    electronic_noise: float = 0.0
    reference_power: Watts = 0.01
    saturation_power: Watts | None = None
    lo_delay: Seconds = 0.0
    cmrr: Decibels | None = None
    lo_power: Watts | None = None

    def shot_noise(self, power_w: float) -> float:
        """Variance of the vacuum at this laser power, in SNU of the reference power."""

        def effective(power: float) -> float:
            return power if self.saturation_power is None else power / (1 + power / self.saturation_power)

        return effective(power_w) / effective(self.reference_power)


class Faults(_Part):
    """``[world]`` less units, places and monitor. ``waveform``: only whether it is there counts."""

    laser: Laser = Laser()
    modulator: Modulator = Modulator()
    channel: Channel = Channel()
    unitary: Unitary = Unitary()
    tap: Tap = Tap()
    amplifier: Amplifier
    client_receiver: Receiver = Receiver()
    server_receiver: Receiver = Receiver()

    @classmethod
    def of(cls, world: object) -> Faults:
        """Raises ConfigError for a table that the simulated lab would refuse as well."""
        return validate(cls, world, "[world]")
