"""Schema of ``[world.waveform]``: pulses, bandwidths, skews and the moving phase of the simulated bench.

Everything is ideal by default. Formulas in docs/physics.md, section 4a.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from labctl.schema import Fraction, Hertz, Seconds, StrictModel
from sim_backends.waveform_config import LowPass

#: Longest delay between light and local oscillator. What is kept of one laser's noise grows with it.
MAX_DELAY_S = 1e-3
#: Largest skew of two paths of one receiver or sender.
MAX_SKEW_S = 1e-6


def _at_most(longest_s: float, what: str) -> AfterValidator:
    def check(seconds: float) -> float:
        if seconds > longest_s:
            raise ValueError(f"{seconds:g} s is more than {longest_s:g} s, {what}, the most that is simulated")
        return seconds

    return AfterValidator(check)


Delay = Annotated[Seconds, _at_most(MAX_DELAY_S, "200 km of fibre")]
Skew = Annotated[Seconds, _at_most(MAX_SKEW_S, "200 m of fibre")]


class LowPassConfig(StrictModel):
    """-3 dB at ``bandwidth``; ``order`` poles."""

    bandwidth: Hertz
    order: Annotated[int, Field(ge=1, le=10)] = 4
    kind: Literal["bessel", "butterworth"] = "bessel"

    def low_pass(self) -> LowPass:
        """As the simulation takes it."""
        return LowPass(self.bandwidth, self.order, self.kind)


class SenderConfig(StrictModel):
    """Between the generator's converters and the modulator. ``skew``: Q later than I."""

    low_pass: LowPassConfig | None = None
    skew: Skew = 0.0


class PhaseConfig(StrictModel):
    """Of the returned light against the server's local oscillator, one laser's both. ``delay``: of the light, in all.

    The laser's noise is that of ``[world.laser]``, the delay of the oscillator's own path the receiver's ``lo_delay``.
    """

    delay: Delay = 0.0
    phase_deg: Annotated[float, Field(ge=-180, le=180)] = 0.0


class SampledReceiverConfig(StrictModel):
    """The server's receiver beside ``[world.server_receiver]``. ``skew``: P later than X. ``angle_error_deg``: of the
    90° hybrid. ``gain_ratio``: volts of the P output over those of the X output.
    """

    low_pass: LowPassConfig | None = None
    skew: Skew = 0.0
    angle_error_deg: Annotated[float, Field(gt=-45, lt=45)] = 0.0
    gain_ratio: Annotated[float, Field(gt=0, le=2)] = 1.0


class WaveformWorld(StrictModel):
    """``samples_per_symbol`` and pulse of the modes that the client's optics take up and give back."""

    samples_per_symbol: Annotated[int, Field(ge=2, le=64)]
    pulse: Literal["root_raised_cosine", "rectangular"] = "root_raised_cosine"
    roll_off: Fraction = 0.4
    span_symbols: Annotated[int, Field(ge=8, le=256)] = 32
    sender: SenderConfig = SenderConfig()
    phase: PhaseConfig = PhaseConfig()
    receiver: SampledReceiverConfig = SampledReceiverConfig()

    @model_validator(mode="after")
    def _nothing_idle(self) -> WaveformWorld:
        for name in ("roll_off", "span_symbols"):
            if self.pulse == "rectangular" and getattr(self, name) != WaveformWorld.model_fields[name].default:
                raise ValueError(f"waveform.{name} has no effect with a rectangular pulse")
        return self
