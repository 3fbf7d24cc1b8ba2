"""An IQ modulator that is not ideal, and its inverse (docs/physics.md, section 4).

E = (f_I + i r e^{iε} f_Q)/√2 with f = sin u - i δ cos u, u = π (v + bias)/2V_π: extinction δ of each arm, ratio r of
their fields, error ε of the third electrode. |E| is 1 where both arms are fully open and alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.config import ModulatorRole
from labctl.errors import ConfigError

Double = NDArray[np.float64]
Complex = NDArray[np.complex128]

#: Share of what can be reached that is used: at an arm's very peak its voltage is not told by its field.
USED: Final = 0.98
#: Newton's steps, and how near they must come.
STEPS, NEAR = 30, 1e-9


@dataclass(frozen=True)
class IqModulator:
    """Voltages in V; ``leak``: δ; ``ratio``: r; ``angle_rad``: ε."""

    v_pi_i: float
    v_pi_q: float
    bias_i: float
    bias_q: float
    leak: float
    ratio: float
    angle_rad: float

    @classmethod
    def of(cls, role: ModulatorRole) -> IqModulator | None:
        """As calibrated; None where nothing is said of its imbalance."""
        found = role.imbalance
        if found is None:
            return None
        leak = 0.0 if found.extinction_ratio is None else 10 ** (-found.extinction_ratio / 20)
        return cls(
            role.in_phase.v_pi,
            role.quadrature.v_pi,
            found.bias_i,
            found.bias_q,
            leak,
            found.gain_ratio,
            math.radians(found.angle_error_deg),
        )

    def field(self, volts_i: ArrayLike, volts_q: ArrayLike) -> Complex:
        """E for voltages of both arms, of one shape."""
        in_phase, _ = self._arm(self._angle(volts_i, 0))
        quadrature, _ = self._arm(self._angle(volts_q, 1))
        return np.asarray((in_phase + self._turn * quadrature) / math.sqrt(2))

    def volts(self, field: ArrayLike) -> tuple[Double, Double]:
        """The inverse, by Newton's method: voltages of both arms for fields, alike in shape.

        Raises ConfigError for a field that the modulator cannot make.
        """
        wanted = np.asarray(field, np.complex128) * math.sqrt(2)
        u = [np.arcsin(np.clip(part, -USED, USED)) for part in (wanted.real, wanted.imag)]
        for _ in range(STEPS):
            in_phase, by_i = self._arm(u[0])
            quadrature, by_q = self._arm(u[1])
            missing = wanted - in_phase - self._turn * quadrature
            if not missing.size or float(np.abs(missing).max()) < NEAR:
                break
            turned = self._turn * by_q
            area = by_i.real * turned.imag - by_i.imag * turned.real
            u[0] = u[0] + (missing.real * turned.imag - missing.imag * turned.real) / area
            u[1] = u[1] + (by_i.real * missing.imag - by_i.imag * missing.real) / area
        else:
            raise ConfigError(
                "the modulator cannot make the field that is asked of it with its bias and imbalance",
                "Attenuate less, or set the modulator's bias and calibrate again.",
            )
        return u[0] * 2 / np.pi * self.v_pi_i - self.bias_i, u[1] * 2 / np.pi * self.v_pi_q - self.bias_q

    def reach(self, swing_i: float, swing_q: float) -> float:
        """Largest a for which all E with |√2 Re E| and |√2 Im E| up to a can be made, for drives of ±swing volts."""
        tops = [
            math.sin(math.pi / 2 * min(1.0, max(0.0, (swing - abs(bias)) / v_pi)))
            for swing, bias, v_pi in ((swing_i, self.bias_i, self.v_pi_i), (swing_q, self.bias_q, self.v_pi_q))
        ]
        sine, cosine = abs(math.sin(self.angle_rad)), math.cos(self.angle_rad)
        leak, ratio = abs(self.leak), self.ratio
        return USED * min(
            tops[0] - ratio * (leak + sine * tops[1]), ratio * cosine * tops[1] - leak * (1 + ratio * sine)
        )

    @property
    def _turn(self) -> complex:
        return 1j * self.ratio * complex(np.exp(1j * self.angle_rad))

    def _angle(self, volts: ArrayLike, arm: int) -> Double:
        bias, v_pi = ((self.bias_i, self.v_pi_i), (self.bias_q, self.v_pi_q))[arm]
        return (np.asarray(volts, np.float64) + bias) * np.pi / (2 * v_pi)

    def _arm(self, angle: Double) -> tuple[Complex, Complex]:
        """Field of an arm and its slope."""
        sine, cosine = np.sin(angle), np.cos(angle)
        return sine - 1j * self.leak * cosine, cosine + 1j * self.leak * sine
