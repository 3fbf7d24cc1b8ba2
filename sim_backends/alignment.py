"""What keeps the light as it should be, where the bench has it: bias controllers of the modulator's arms, a
polarisation controller, and a switch before the server's receiver (section 4 of docs/physics.md).
"""

from __future__ import annotations

import math
from typing import Protocol, TypeVar

from labctl.errors import ConfigError
from sim_backends.config import WorldConfig
from sim_backends.state import BiasElectrodeState, BiasState, PolarisationState, SwitchState

S = TypeVar("S")


class States(Protocol):
    """Finds the state of a unit, which must be of a kind; raises ConfigError."""

    def __call__(self, unit: str, kind: type[S], /) -> S: ...


#: The position in which the switch connects the fibre to the server's receiver; nothing is connected in the others.
SIGNAL = 1


def held_v(electrode: BiasElectrodeState, own: float) -> float:
    """Volts at an electrode, pilot tone excepted, with the arm's own bias ``own`` (in V_pi off its null).

    Of the voltages that bring the arm to its working point the one nearest to 0, plus the controller's error.
    """
    if electrode.point is None:
        return electrode.voltage_v
    turn = math.remainder(electrode.point - own, 2.0)
    return turn * electrode.v_pi_v + electrode.error_v


def turned(electrode: BiasElectrodeState, own: float, time_s: float) -> float:
    """The arm's bias with its controller, in V_pi off its null."""
    pilot_v = 0.0
    if electrode.dither_vpp:
        pilot_v = electrode.dither_vpp / 2 * math.sin(2 * math.pi * electrode.dither_hz * time_s)
    return own + (held_v(electrode, own) + pilot_v) / electrode.v_pi_v


class Alignment:
    """Looks at the states of the units that stand at the optional places. Raises ConfigError."""

    def __init__(self, config: WorldConfig, state: States) -> None:
        places = config.places
        self._arms = (places.bias_i, places.bias_q)
        self._electrodes = tuple(_electrode(place, state) for place in self._arms)
        self._axis = config.polarisation.axis
        self._polarisation = None if places.polarisation is None else state(places.polarisation, PolarisationState)
        self._switch = None if places.switch is None else state(places.switch, SwitchState)

    @property
    def biased(self) -> bool:
        """Whether an arm has a controller."""
        return self._electrodes != (None, None)

    def watches_modulator(self, unit: str) -> bool:
        """Whether this is a bias controller, with its tap behind the modulator."""
        return any(place is not None and place.partition(":")[0] == unit for place in self._arms)

    def arm(self, place: str) -> int | None:
        """Which arm an electrode "unit:electrode" turns: 0 in phase, 1 quadrature, None for none."""
        return self._arms.index(place) if place in self._arms else None

    def bias(self, arm: int, own: float, time_s: float) -> float:
        """Of an arm, in V_pi off its null; ``own``: without a controller."""
        electrode = self._electrodes[arm]
        return own if electrode is None else turned(electrode, own, time_s)

    def overlaps(self) -> tuple[float, float]:
        """Power fraction of the light that the client's and the server's receiver see.

        The field along an axis of the Poincaré sphere is cos(angle / 2) of the whole, its power (1 + s·axis) / 2; light
        that is scrambled counts as unpolarised. A closed switch leaves the server nothing.
        """
        seen = 1.0
        if self._polarisation is not None:
            along = sum(s * a for s, a in zip(self._polarisation.stokes, self._axis, strict=True))
            seen = 0.5 if self._polarisation.scrambling else min(1.0, max(0.0, (1 + along) / 2))
        passes = self._switch is None or self._switch.position == SIGNAL
        return seen, seen if passes else 0.0


def _electrode(place: str | None, state: States) -> BiasElectrodeState | None:
    if place is None:
        return None
    unit, _, number = place.partition(":")
    electrodes = state(unit, BiasState).electrodes
    if int(number) > len(electrodes):
        raise ConfigError(
            f"[world.places] names {place!r}; the unit has {len(electrodes)} electrode(s)", "Name one of them."
        )
    return electrodes[int(number) - 1]
