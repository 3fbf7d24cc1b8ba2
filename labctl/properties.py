"""What every instrument of a kind can be asked and told, one property each: unit, limits, whether it can be set.

One table for each kind of :mod:`labctl.interfaces`. The limits are those that the opened instrument told its driver.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from labctl.errors import InstrumentLost, LabctlError, LimitError
from labctl.interfaces import (
    Amplifier,
    Attenuator,
    BiasController,
    Digitizer,
    Instrument,
    Laser,
    OpticalSwitch,
    PolarisationController,
    PowerMeter,
    WaveformGenerator,
)
from labctl.values import Range, Scalar

_SWITCH: Final = (False, True)


@dataclass(frozen=True)
class Property:
    """One setting or reading of a kind. ``name``: as in snapshots, its end says the unit; ``unit``: SI, or dB.

    ``get``: of an instrument and a channel, None for what cannot be asked; ``set``: to a value, None for what is only
    read; ``limits``, ``choices``, ``channels``: of an instrument, None where there are none. ``lights``: switching it
    on emits light, lets it through, or drives a modulator. ``fixed``: what the driver knows without asking.
    """

    name: str
    unit: str = ""
    get: Callable[[Any, int], Scalar] | None = None
    set: Callable[[Any, int, Any], None] | None = None
    limits: Callable[[Any], Range] | None = None
    choices: Callable[[Any], Sequence[Scalar]] | None = None
    channels: Callable[[Any], Sequence[int]] | None = None
    lights: bool = False
    fixed: bool = False

    def check(self, instrument: Instrument, channel: int | None, value: Scalar) -> None:
        """Whether it may be set so. Raises LimitError, and nothing is sent."""
        what = self.name if channel is None else f"{self.name} of channel {channel}"
        if self.set is None:
            raise LimitError(instrument.name, f"{what} can only be read", "Choose one that can be set.")
        channels = None if self.channels is None else list(self.channels(instrument))
        if (channel is not None) != (channels is not None) or (channels is not None and channel not in channels):
            raise LimitError(instrument.name, f"{what}: there is no such channel", f"Channels: {channels or 'none'}.")
        if self.choices is not None:
            choices = list(self.choices(instrument))
            if not any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in choices):
                raise LimitError(instrument.name, f"{what} cannot be {value!r}", f"Choose one of {choices}.")
        elif isinstance(value, (bool, str)) or not math.isfinite(value):
            raise LimitError(instrument.name, f"{what} cannot be {value!r}", "Give a number.")
        elif self.limits is not None and value not in (limits := self.limits(instrument)):
            raise LimitError(instrument.name, f"{what}: {value:g} is outside {limits}", "Ask for less or more.")

    def write(self, instrument: Instrument, channel: int | None, value: Scalar) -> None:
        """Set it. Raises LimitError before anything is sent, and what the instrument raises."""
        self.check(instrument, channel, value)
        assert self.set is not None
        self.set(instrument, channel or 0, value)


@dataclass(frozen=True)
class PropertyState:
    """A property of one instrument, as it is now. ``value``: None for what cannot be asked, or was not told.

    ``channel``: None where the instrument has it once; ``problem``: why it was not told.
    """

    name: str
    unit: str = ""
    channel: int | None = None
    value: Scalar | None = None
    limits: Range | None = None
    choices: tuple[Scalar, ...] = ()
    settable: bool = False
    lights: bool = False
    problem: str = ""
    remedy: str = ""

    @property
    def is_on(self) -> bool:
        """Whether it gives light, or lets it through, as far as it told."""
        return self.lights and self.value is True


def _capability(name: str) -> Property:
    return Property(name, get=lambda it, _: getattr(it.capabilities, name), fixed=True)


def _capability_range(name: str, unit: str) -> Property:
    return Property(name, unit, limits=lambda it: getattr(it.capabilities, name), fixed=True)


def _counted(it: Any) -> Sequence[int]:
    return range(1, it.capabilities.channels + 1)


#: Of those who are told for which wavelength to reckon, and do not tell it again.
_TOLD_WAVELENGTH = Property(
    "wavelength_m",
    "m",
    None,
    lambda it, _, value: it.set_wavelength(value),
    limits=lambda it: it.wavelength_range_m,
)
#: Of whatever emits.
_EMISSION = Property(
    "emission",
    "",
    lambda it, _: it.emission(),
    lambda it, _, value: it.set_emission(value),
    choices=lambda _: _SWITCH,
    lights=True,
)
_LASER = (
    Property(
        "wavelength_m",
        "m",
        lambda it, _: it.wavelength(),
        lambda it, _, value: it.set_wavelength(value),
        limits=lambda it: it.wavelength_range_m,
    ),
    Property(
        "power_w",
        "W",
        lambda it, _: it.power(),
        lambda it, _, value: it.set_power(value),
        limits=lambda it: it.power_range_w,
    ),
    _EMISSION,
)
_GENERATOR = (
    Property(
        "output",
        "",
        lambda it, channel: it.output(channel),
        lambda it, channel, value: it.set_output(channel, value),
        choices=lambda _: _SWITCH,
        channels=_counted,
        lights=True,
    ),
    _capability_range("sample_rate_hz", "Hz"),
    _capability_range("amplitude_vpp", "V"),
    *(_capability(name) for name in ("bits", "granularity", "min_length", "memory_samples")),
)
_BIAS_CONTROLLER = (
    Property("lock_at", "", None, lambda it, _, value: it.lock(value), choices=lambda it: it.points),
    Property("locked", "", lambda it, _: it.locked()),
    Property(
        "bias_v",
        "V",
        lambda it, channel: it.bias_voltages()[channel - 1],
        limits=lambda it: it.bias_range_v,
        channels=lambda it: range(1, len(it.bias_voltages()) + 1),
    ),
)
_SWITCH_TABLE = (
    Property(
        "position",
        "",
        lambda it, _: it.position(),
        lambda it, _, value: it.set_position(value),
        choices=lambda it: range(1, it.positions + 1),
    ),
)
_POLARISATION_CONTROLLER = (
    _TOLD_WAVELENGTH,
    Property("stokes", "", lambda it, number: it.stokes()[number - 1], channels=lambda _: (1, 2, 3)),
    Property("degree_of_polarisation", "", lambda it, _: it.degree_of_polarisation()),
)
_ATTENUATOR = (
    Property(
        "attenuation_db",
        "dB",
        lambda it, channel: it.attenuation(channel),
        lambda it, channel, value: it.set_attenuation(channel, value),
        limits=lambda it: it.attenuation_range_db,
        channels=lambda it: it.channels,
    ),
    Property(
        "shutter_open",
        "",
        lambda it, channel: it.shutter(channel),
        lambda it, channel, value: it.set_shutter(channel, value),
        choices=lambda _: _SWITCH,
        channels=lambda it: it.channels,
        lights=True,
    ),
)
_AMPLIFIER = (
    Property(
        "pump_a",
        "A",
        lambda it, _: it.pump(),
        lambda it, _, value: it.set_pump(value),
        limits=lambda it: it.pump_range_a,
    ),
    _EMISSION,
    Property("interlock_open", "", lambda it, _: it.interlock_open()),
)
_POWER_METER = (
    _TOLD_WAVELENGTH,
    Property("power_w", "W", lambda it, _: it.power()),
)
_DIGITIZER = (
    _capability_range("full_scale_v", "V"),
    _capability_range("sample_rate_hz", "Hz"),
    *(_capability(name) for name in ("channels", "bits", "memory_samples")),
)

#: The table of each kind.
PROPERTIES: Final[dict[type[Instrument], tuple[Property, ...]]] = {
    Laser: _LASER,
    WaveformGenerator: _GENERATOR,
    BiasController: _BIAS_CONTROLLER,
    OpticalSwitch: _SWITCH_TABLE,
    PolarisationController: _POLARISATION_CONTROLLER,
    Attenuator: _ATTENUATOR,
    Amplifier: _AMPLIFIER,
    PowerMeter: _POWER_METER,
    Digitizer: _DIGITIZER,
}


def properties_of(instrument: Instrument) -> tuple[Property, ...]:
    """Those of its kind; none for a kind of one's own."""
    return next((table for kind, table in PROPERTIES.items() if isinstance(instrument, kind)), ())


def find(instrument: Instrument, name: str) -> Property:
    """The property of that name. Raises LimitError when the instrument has none."""
    known = {each.name: each for each in properties_of(instrument)}
    if name not in known:
        raise LimitError(instrument.name, f"has no property {name!r}", f"It has {', '.join(known) or 'none'}.")
    return known[name]


def states_of(instrument: Instrument) -> tuple[PropertyState, ...]:
    """All properties of an opened instrument, read now; one that is not told has a problem instead of a value.

    Raises InstrumentLost when the instrument does not answer.
    """
    found: list[PropertyState] = []
    for each in properties_of(instrument):
        channels: Sequence[int | None] = (None,) if each.channels is None else list(each.channels(instrument))
        found += [_state(each, instrument, channel) for channel in channels]
    return tuple(found)


def _state(each: Property, instrument: Instrument, channel: int | None) -> PropertyState:
    value, problem, remedy = None, "", ""
    if each.get is not None:
        try:
            value = each.get(instrument, channel or 0)
        except InstrumentLost:
            raise
        except LabctlError as error:
            problem, remedy = str(error), error.remedy
    return PropertyState(
        each.name,
        each.unit,
        channel,
        value,
        None if each.limits is None else each.limits(instrument),
        () if each.choices is None else tuple(each.choices(instrument)),
        each.set is not None,
        each.lights,
        problem,
        remedy,
    )


def limits_of(instrument: Instrument) -> dict[str, str]:
    """What an opened instrument can do, by property, in words; nothing is asked."""
    found: dict[str, str] = {}
    for each in properties_of(instrument):
        if each.limits is not None:
            found[each.name] = str(each.limits(instrument))
        elif each.choices is not None and each.choices(instrument) != _SWITCH:
            found[each.name] = ", ".join(str(choice) for choice in each.choices(instrument))
        elif each.fixed and each.get is not None:
            found[each.name] = str(each.get(instrument, 0))
        elif each.lights and each.channels is not None:
            found[each.name] = f"channels {', '.join(str(channel) for channel in each.channels(instrument))}"
    return found
