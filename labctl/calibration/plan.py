"""The plan: every procedure in the order in which one rests on another."""

from __future__ import annotations

from typing import Final

from labctl.calibration import amplifier, channel, modulator, noise, unitary
from labctl.calibration.procedure import Procedure

PLAN: Final = (
    Procedure("electronic-noise", "electronic noise of the receivers, dark", (), noise.electronic_noise),
    Procedure("shot-noise", "shot noise against the oscillator's power", ("electronic-noise",), noise.shot_noise),
    Procedure("clearance", "shot noise over electronic noise, over the band", ("shot-noise",), noise.clearance),
    Procedure("digitizer-range", "digitizers' steps and range", ("electronic-noise",), noise.digitizer_range),
    Procedure("modulator", "modulator's V_pi, bias, extinction, imbalance", ("shot-noise",), modulator.modulator),
    Procedure("phase-reference", "phase of the light at the receivers", ("modulator",), channel.phase_reference),
    Procedure("photon-number", "light against attenuation, up and down", ("modulator",), channel.photon_number),
    Procedure("unitary", "V_pi and loss of the client's loop", ("phase-reference",), unitary.unitary),
    Procedure("tap", "returned fraction of the client's tap", ("unitary",), amplifier.tap),
    Procedure("transmittance", "transmittance out and back", ("photon-number", "tap"), channel.transmittance),
    Procedure("amplifier", "amplifier's gain and noise", ("tap",), amplifier.amplifier),
    Procedure("overlap", "mode that the client's loop takes", ("unitary",), unitary.overlap),
)
