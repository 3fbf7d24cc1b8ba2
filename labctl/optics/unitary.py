"""The client's programmable unitary: a time-bin loop that collects one mode, and gives the rest back (section 3a).

Step k mixes the arriving bin with the light held in a loop one bin long: c_k = cos θ_k c_{k-1} + sin θ_k e^{-iφ_k} a_k.
With φ_k = arg z_k and sin θ_k = |z_k| / sqrt(Σ_{j<=k} |z_j|²) the loop ends up holding b = Σ z_k* a_k.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from labctl.config import BenchConfig, DriveRef
from labctl.interfaces import WaveformGenerator
from labctl.optics.drive import Codes, Drive, RowLayout, Timing

Double = NDArray[np.float64]
SEGMENT = 1


def loop_settings(z: NDArray[np.complex128]) -> tuple[Double, Double]:
    """Coupler angles θ in [0, π/2] and phases φ in [-π, π] that collect the mode z, both of shape (n,)."""
    before = np.concatenate([[0.0], np.cumsum(np.abs(z[:-1]) ** 2)])
    return np.arctan2(np.abs(z), np.sqrt(before)), np.angle(z)


class LoopUnitary:
    """Drives coupler and phase modulator of both passes, and the tap.

    ``generators``: by instrument name; each plays one row, over and over, started by the server's marker.
    """

    def __init__(self, bench: BenchConfig, generators: Mapping[str, WaveformGenerator], timing: Timing) -> None:
        role = bench.unitary
        self._timing = timing
        self._mode: NDArray[np.complex128] | None = None  # what the generators hold, and the tap's code and length
        self._tapped: tuple[int, int] | None = None
        self._generators = generators
        self._couplers = [self._drive(ref) for ref in (role.forward_coupler, role.return_coupler)]
        self._phases = [self._drive(ref) for ref in (role.forward_phase, role.return_phase)]
        self._tap = self._drive(bench.tap)

    def _drive(self, reference: DriveRef) -> tuple[str, Drive]:
        return reference.instrument, Drive.of(reference, self._generators[reference.instrument].capabilities)

    def prepare(self) -> None:
        """Set clocks and full scales, and clear the generators' memories."""
        self._mode = self._tapped = None
        for name, generator in self._generators.items():
            amplitudes = {drive.channel: drive.amplitude_vpp for owner, drive in self._all() if owner == name}
            generator.configure(self._timing.sample_rate_hz, amplitudes)
            for channel in amplitudes:
                generator.set_output(channel, True)

    def forget(self) -> None:
        """Somebody else has used the generators: what they hold is loaded again."""
        self._mode = self._tapped = None

    def _all(self) -> list[tuple[str, Drive]]:
        return [*self._couplers, *self._phases, self._tap]

    def project(self, z: NDArray[np.complex128], returned_fraction: float, rows: int) -> None:
        """Collect the mode z (unit norm, shape (n,)) of the next ``rows`` rows, and return a fraction of its power.

        Both passes get the same settings, so that the return pass is the adjoint of the forward one.
        """
        layout = self._timing.layout(len(z))
        codes: dict[str, dict[int, Codes]] = {name: {} for name in self._generators}
        if self._mode is None or not np.array_equal(z, self._mode):
            self._add_loop(z, layout, codes)
        name, drive = self._tap
        level = 2 / np.pi * math.acos(math.sqrt(returned_fraction))
        tapped = (int(drive.codes(np.array([level]))[0]), layout.bins)
        if tapped != self._tapped:
            codes[name][drive.channel] = np.full(layout.bins, tapped[0], dtype=np.int16)
        self._mode = self._tapped = None  # until all is loaded: what was refused is loaded again
        for name, generator in self._generators.items():
            if codes[name]:
                generator.load_and_arm(SEGMENT, codes[name], rows, external=True)
            else:
                generator.arm(SEGMENT, rows, external=True)
        self._mode, self._tapped = z, tapped

    def _add_loop(self, z: NDArray[np.complex128], layout: RowLayout, codes: dict[str, dict[int, Codes]]) -> None:
        theta, phi = loop_settings(z)
        for passes, fraction in ((self._couplers, 2 / np.pi * theta), (self._phases, phi / np.pi)):
            made: dict[tuple[int, float], Codes] = {}  # equal drives get the same codes
            for name, drive in passes:
                kind = (drive.code_max, drive.fraction_of_v_pi)
                if kind not in made:
                    made[kind] = np.zeros(layout.bins, dtype=np.int16)
                    made[kind][layout.data_slots] = drive.codes(fraction)
                codes[name][drive.channel] = made[kind]

    def pass_by(self, rows: int) -> None:
        """Let ``rows`` rows go by the loop and the tap, and return them whole; for calibration."""
        self.project(np.zeros(1, np.complex128), 1.0, rows)
