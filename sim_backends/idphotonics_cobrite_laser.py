"""One laser in a simulated CoBrite: what its commands do, in THz, nm, GHz and dBm (:mod:`.idphotonics_cobrite`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from labctl.units import dbm_to_watt
from sim_backends.state import LaserState

LIGHT_SPEED_M_S: Final = 299_792_458.0
OFFSET_GHZ: Final = 12.0
DARK_DBM: Final = -40.0
FREQUENCY_AT_START_THZ: Final = 193.4
_SLACK: Final = 1e-9

UNKNOWN, ARGUMENTS, POWERED_DOWN, RANGE, UNAUTHORIZED = 100, 101, 104, 200, 201
TEXTS: Final[Mapping[int, str]] = {
    UNKNOWN: "unknown command",
    ARGUMENTS: "wrong arguments",
    POWERED_DOWN: "laser is powered down",
    RANGE: "value out of range",
    UNAUTHORIZED: "not authorized",
}


class Refused(Exception):
    """The reply is this error."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def numbers(values: Sequence[str], count: int) -> list[float]:
    """``count`` decimal numbers. Raises Refused."""
    if len(values) != count or not all(re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", v) for v in values):
        raise Refused(ARGUMENTS)
    return [float(value) for value in values]


@dataclass(frozen=True)
class Nature:
    """What all lasers of a unit have in common."""

    kind: str
    settle_s: float
    ignores_range: bool
    ignores_blocked: bool
    has_dither: bool
    limits_thz: tuple[float, float]
    limits_dbm: tuple[float, float]


class Laser:
    """``state``: what the world sees. ``now``: the lab's time, s."""

    def __init__(self, nature: Nature, now: Callable[[], float]) -> None:
        self.nature, self._now = nature, now
        low, high = nature.limits_thz
        self.frequency_thz = min(max(FREQUENCY_AT_START_THZ, low), high)
        self.power_dbm, self.offset_ghz = nature.limits_dbm[0], 0.0
        self.dithers = self.trigger_out = self._blocked = False
        self.trigger = ""
        self._changed_at = now() - nature.settle_s
        self.state = LaserState()
        self._shine()

    # ------------------------------------------------------------------ what the box asks

    @property
    def settled_at(self) -> float:
        """The lab's time when tuning ends."""
        return self._changed_at + self.nature.settle_s

    def busy(self) -> bool:
        """Whether it is tuning, now; the lab's clock may be set back."""
        return 0 <= self._now() - self._changed_at < self.nature.settle_s - _SLACK

    def block(self, blocked: bool) -> None:
        """The interlock loop was opened, or closed again."""
        self._blocked = blocked
        if blocked:
            self.state.emission = False

    def _changed(self) -> None:
        self._changed_at = self._now()
        self._shine()

    def _shine(self) -> None:
        self.state.wavelength_m = LIGHT_SPEED_M_S / (self.frequency_thz * 1e12 + self.offset_ghz * 1e9)
        self.state.power_w = dbm_to_watt(self.power_dbm)

    # ------------------------------------------------------------------ commands

    def _within(self, value: float, limits: tuple[float, float], decimals: int) -> float | None:
        """``value`` as the unit keeps it; None when it is to be ignored. Raises Refused."""
        kept = round(value, decimals)
        if limits[0] - _SLACK <= kept <= limits[1] + _SLACK:
            return kept
        if self.nature.ignores_range:
            return None
        raise Refused(RANGE)

    def _tune(self, frequency_thz: float) -> None:
        kept = self._within(frequency_thz, self.nature.limits_thz, 4)
        if kept is not None:
            self.frequency_thz = kept
            self._changed()

    def set_frequency(self, values: Sequence[str]) -> None:
        self._tune(numbers(values, 1)[0])

    def set_wavelength(self, values: Sequence[str]) -> None:
        (wavelength_nm,) = numbers(values, 1)
        if wavelength_nm <= 0:
            raise Refused(RANGE)
        self._tune(LIGHT_SPEED_M_S / wavelength_nm * 1e-3)

    def set_offset(self, values: Sequence[str]) -> None:
        kept = self._within(numbers(values, 1)[0], (-OFFSET_GHZ, OFFSET_GHZ), 3)
        if kept is not None:
            self.offset_ghz = kept
            self._changed()

    def set_power(self, values: Sequence[str]) -> None:
        kept = self._within(numbers(values, 1)[0], self.nature.limits_dbm, 2)
        if kept is not None:
            self.power_dbm = kept
            self._changed()

    def set_state(self, values: Sequence[str]) -> None:
        on = numbers(values, 1)[0] != 0
        if on and self._blocked:
            if self.nature.ignores_blocked:
                return
            raise Refused(POWERED_DOWN)
        self.state.emission = on
        self._changed()

    def set_dither(self, values: Sequence[str]) -> None:
        self.dithers = numbers(values, 1)[0] > 0 and self.nature.has_dither

    def set_all(self, values: Sequence[str]) -> None:
        """Frequency, offset, power, state, dither."""
        numbers(values, 5)
        setters = (self.set_frequency, self.set_offset, self.set_power, self.set_state, self.set_dither)
        for value, setter in zip(values, setters, strict=True):
            setter([value])

    def set_trigger_out(self, values: Sequence[str]) -> None:
        self.trigger_out = numbers(values, 1)[0] != 0

    def set_trigger(self, values: Sequence[str]) -> None:
        frequency, offset, power, state, dither = numbers(values, 5)
        self.trigger = f"{frequency:.4f},{offset:.3f},{power:.2f},{state:.0f},0,{dither:.0f}"

    # ------------------------------------------------------------------ queries

    def dither(self) -> str:
        """-1 where it is not fitted."""
        return str(int(self.dithers)) if self.nature.has_dither else "-1"

    def configuration(self) -> str:
        """Frequency, offset, power, state, busy, dither."""
        return (
            f"{self.frequency_thz:.4f},{self.offset_ghz:.3f},{self.power_dbm:.2f},{self.state.emission:d},"
            f"{self.busy():d},{self.dither()}"
        )

    def wavelength_limits(self) -> str:
        low, high = self.nature.limits_thz
        return f"{LIGHT_SPEED_M_S / high * 1e-3:.4f},{LIGHT_SPEED_M_S / low * 1e-3:.4f}"

    def limits(self) -> str:
        """Frequencies, fine tuning, powers."""
        (low, high), (weak, strong) = self.nature.limits_thz, self.nature.limits_dbm
        return f"{low:.4f},{high:.4f},{OFFSET_GHZ:.3f},{weak:.2f},{strong:.2f}"


COMMANDS: Final[Mapping[str, Callable[[Laser, Sequence[str]], None]]] = {
    "FREQ": Laser.set_frequency,
    "WAV": Laser.set_wavelength,
    "OFF": Laser.set_offset,
    "POW": Laser.set_power,
    "STAT": Laser.set_state,
    "DIT": Laser.set_dither,
    "CONF": Laser.set_all,
    "TRIOUTACT": Laser.set_trigger_out,
    "TRICONF": Laser.set_trigger,
}
QUERIES: Final[Mapping[str, Callable[[Laser], str]]] = {
    "TYP": lambda laser: laser.nature.kind,
    "FREQ": lambda laser: f"{laser.frequency_thz:.4f}",
    "WAV": lambda laser: f"{LIGHT_SPEED_M_S / laser.frequency_thz * 1e-3:.4f}",
    "OFF": lambda laser: f"{laser.offset_ghz:.3f}",
    "POW": lambda laser: f"{laser.power_dbm:.2f}",
    "APOW": lambda laser: f"{laser.power_dbm if laser.state.emission else DARK_DBM:.2f}",
    "STAT": lambda laser: str(int(laser.state.emission)),
    "BUSY": lambda laser: str(int(laser.busy())),
    "DIT": Laser.dither,
    "LIM": Laser.limits,
    "FREQ:LIM": lambda laser: "{:.4f},{:.4f}".format(*laser.nature.limits_thz),
    "WAV:LIM": Laser.wavelength_limits,
    "POW:LIM": lambda laser: "{:.2f},{:.2f}".format(*laser.nature.limits_dbm),
    "OFF:LIM": lambda laser: f"{OFFSET_GHZ:.3f}",
    "CONF": Laser.configuration,
    "MON": lambda laser: f"42.10,31.50,{180.0 if laser.state.emission else 0.0:.1f},250.0",
    "LALAR": lambda laser: "0",
    "TRIOUTACT": lambda laser: str(int(laser.trigger_out)),
    "TRICONF": lambda laser: laser.trigger or laser.configuration(),
}
