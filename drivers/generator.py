"""What waveform generators of all makers are asked for alike."""

from __future__ import annotations

from collections.abc import Mapping

from labctl.errors import LimitError
from labctl.values import GeneratorCapabilities


def check_request(
    name: str, limits: GeneratorCapabilities, sample_rate_hz: float, amplitude_vpp: Mapping[int, float]
) -> None:
    """Whether the generator called ``name`` has this sample clock, these channels (from 1), and each one's full scale,
    volts peak to peak. Raises LimitError.
    """
    if not amplitude_vpp or not set(amplitude_vpp) <= set(range(1, limits.channels + 1)):
        raise LimitError(name, f"channels {sorted(amplitude_vpp)}", f"Use channels 1 to {limits.channels}.")
    if sample_rate_hz not in limits.sample_rate_hz:
        raise LimitError(
            name,
            f"a sample rate of {sample_rate_hz:g} Hz is outside {limits.sample_rate_hz}",
            "Choose another rate, or another mode or filter of the generator.",
        )
    for channel, value in amplitude_vpp.items():
        if value not in limits.amplitude_vpp:
            raise LimitError(
                name,
                f"{value:g} V peak to peak on channel {channel} is outside {limits.amplitude_vpp}",
                "Choose another amplitude; what the modulator needs comes from its driver amplifier.",
            )
